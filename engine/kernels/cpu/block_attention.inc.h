// Attention of a block of queries over packed bf16 keys and values: part of kernels.inc.h, which includes it.
//
// Scores and sums are products of bf16 pairs that are added up in fp32: one instruction where the CPU has it
// (AVX-512 BF16), two multiply-adds elsewhere. Softmax is taken on the way, kKeyBlock keys at a time (arXiv 2205.14135,
// algorithm 1).

// A register tile of a product: kTileRows rows by kTileVectors vectors.
#if defined(__AVX512F__)
constexpr int kTileRows = 6, kTileVectors = 4;
#else
constexpr int kTileRows = 4, kTileVectors = 2;
#endif
constexpr int kTileKeys = kTileVectors * kWidth;
static_assert(kKeyBlock % kTileKeys == 0 && kQueryBlock % kTileRows == 0);

inline std::int64_t RoundUp(std::int64_t count, std::int64_t unit) { return (count + unit - 1) / unit * unit; }

// Two neighbouring bf16 values; the first is in the low half.
using Pair = std::uint32_t;
typedef Pair PairVector __attribute__((vector_size(kWidth * 4)));

inline Pair MakePair(std::uint16_t first, std::uint16_t second) { return first | (static_cast<Pair>(second) << 16); }

#if defined(__AVX512BF16__)
inline Vector AddProduct(Vector sum, Pair a, PairVector b) {
  return (Vector)_mm512_dpbf16_ps((__m512)sum, (__m512bh)_mm512_set1_epi32(static_cast<int>(a)), (__m512bh)b);
}
#else
inline Vector FloatBits(PairVector bits) {
  Vector v;
  std::memcpy(&v, &bits, sizeof v);
  return v;
}
inline Vector AddProduct(Vector sum, Pair a, PairVector b) {
  const PairVector wide = PairVector{} + a;
  sum += FloatBits(wide << 16) * FloatBits(b << 16);
  return sum + FloatBits(wide & 0xffff0000u) * FloatBits(b & 0xffff0000u);
}
#endif

// sums[r][c] += sum_s a[r * a_stride + s] . b[s * b_stride + c * kWidth], with pairs multiplied and added.
template <int kVectors>
inline void AddProducts(const Pair* a, std::int64_t a_stride, const Pair* b, std::int64_t b_stride, std::int64_t steps,
                        Vector (&sums)[kTileRows][kVectors]) {
  for (std::int64_t s = 0; s < steps; ++s) {
    PairVector columns[kVectors];
    for (int c = 0; c < kVectors; ++c) std::memcpy(&columns[c], b + s * b_stride + c * kWidth, sizeof columns[c]);
    for (int r = 0; r < kTileRows; ++r) {
      const Pair row = a[r * a_stride + s];
      for (int c = 0; c < kVectors; ++c) sums[r][c] = AddProduct(sums[r][c], row, columns[c]);
    }
  }
}

// out: for each kTileKeys keys [dim / 2][kTileKeys] pairs, each of two neighbouring dimensions of a key.
void PackKeys(const c10::BFloat16* keys, std::int64_t num_keys, int dim, std::uint32_t* out) {
  const std::int64_t padded = RoundUp(num_keys, kKeyBlock);
  for (std::int64_t first = 0; first < padded; first += kTileKeys, out += dim / 2 * kTileKeys) {
    for (int k = 0; k < kTileKeys; ++k) {
      const c10::BFloat16* key = keys + (first + k) * dim;
      for (int i = 0; i < dim / 2; ++i) {
        out[i * kTileKeys + k] = first + k < num_keys ? MakePair(key[2 * i].x, key[2 * i + 1].x) : 0;
      }
    }
  }
}

// out: for each two neighbouring keys [dim] pairs of their values.
void PackValues(const c10::BFloat16* values, std::int64_t num_keys, int dim, std::uint32_t* out) {
  const std::int64_t padded = RoundUp(num_keys, kKeyBlock);
  for (std::int64_t key = 0; key < padded; key += 2, out += dim) {
    const c10::BFloat16* first = values + key * dim;
    const c10::BFloat16* second = first + dim;
    for (int i = 0; i < dim; ++i) {
      out[i] = MakePair(key < num_keys ? first[i].x : 0, key + 1 < num_keys ? second[i].x : 0);
    }
  }
}

// What AttendPacked works in.
struct BlockScratch {
  Pair* queries;   // [kQueryBlock][dim / 2], padded with zeros
  float* scores;   // [kQueryBlock][kKeyBlock]
  Pair* weights;   // [kQueryBlock][kKeyBlock / 2]
  float* sums;     // [kQueryBlock][dim], of weights times values
  float* maxima;   // [kQueryBlock], of the scores so far
  float* totals;   // [kQueryBlock], of the weights so far
  float* factors;  // [kQueryBlock]: what older sums are to be multiplied with
};

inline void ScoreBlock(const BlockScratch& scratch, int rows, const Pair* keys, std::int64_t num_keys, int dim) {
  for (std::int64_t first = 0; first < num_keys; first += kTileKeys, keys += dim / 2 * kTileKeys) {
    for (int row = 0; row < rows; row += kTileRows) {
      Vector tile[kTileRows][kTileVectors] = {};
      AddProducts<kTileVectors>(scratch.queries + row * (dim / 2), dim / 2, keys, kTileKeys, dim / 2, tile);
      for (int r = 0; r < kTileRows; ++r) {
        for (int c = 0; c < kTileVectors; ++c) {
          Store(scratch.scores + (row + r) * kKeyBlock + first + c * kWidth, tile[r][c]);
        }
      }
    }
  }
}

// Turns the scores of one row into weights, of which the first `visible` count.
inline void WeighRow(const BlockScratch& scratch, int row, std::int64_t visible, float scale) {
  float* const scores = scratch.scores + row * kKeyBlock;
  for (std::int64_t key = visible; key < kKeyBlock; ++key) scores[key] = -HUGE_VALF;
  Vector highest = Load(scores);
  for (int i = kWidth; i < kKeyBlock; i += kWidth) {
    const Vector v = Load(scores + i);
    highest = highest > v ? highest : v;
  }
  float maximum = Maximum(highest);
  if (scratch.maxima[row] > maximum) maximum = scratch.maxima[row];
  auto* const weights = reinterpret_cast<c10::BFloat16*>(scratch.weights + row * (kKeyBlock / 2));
  Vector total{};
  for (int i = 0; i < kKeyBlock; i += kWidth) {
    const Vector weight = Exp((Load(scores + i) - maximum) * scale);
    total += weight;
    Store(weights + i, weight);
  }
  scratch.factors[row] = std::exp((scratch.maxima[row] - maximum) * scale);
  scratch.totals[row] = scratch.totals[row] * scratch.factors[row] + Sum(total);
  scratch.maxima[row] = maximum;
}

// Columns first .. first + kVectors * kWidth - 1 of the sums.
template <int kVectors>
inline void AddValueColumns(const BlockScratch& scratch, int rows, const Pair* values, std::int64_t num_keys, int dim,
                            int first) {
  for (int row = 0; row < rows; row += kTileRows) {
    Vector tile[kTileRows][kVectors];
    for (int r = 0; r < kTileRows; ++r) {
      for (int c = 0; c < kVectors; ++c) {
        tile[r][c] = Load(scratch.sums + (row + r) * dim + first + c * kWidth) * scratch.factors[row + r];
      }
    }
    AddProducts<kVectors>(scratch.weights + row * (kKeyBlock / 2), kKeyBlock / 2, values + first, dim,
                          (num_keys + 1) / 2, tile);
    for (int r = 0; r < kTileRows; ++r) {
      for (int c = 0; c < kVectors; ++c) Store(scratch.sums + (row + r) * dim + first + c * kWidth, tile[r][c]);
    }
  }
}

inline void AddValues(const BlockScratch& scratch, int rows, const Pair* values, std::int64_t num_keys, int dim) {
  int first = 0;
  for (; first + kTileVectors * kWidth <= dim; first += kTileVectors * kWidth) {
    AddValueColumns<kTileVectors>(scratch, rows, values, num_keys, dim, first);
  }
  for (; first < dim; first += kWidth) AddValueColumns<1>(scratch, rows, values, num_keys, dim, first);
}

inline BlockScratch DivideScratch(float* scratch, int dim) {
  BlockScratch parts;
  const auto take = [&](int count) {
    float* const part = scratch;
    scratch += count;
    return part;
  };
  parts.scores = take(kQueryBlock * kKeyBlock);
  parts.sums = take(kQueryBlock * dim);
  parts.maxima = take(kQueryBlock);
  parts.totals = take(kQueryBlock);
  parts.factors = take(kQueryBlock);
  parts.queries = reinterpret_cast<Pair*>(take(kQueryBlock * dim / 2));
  parts.weights = reinterpret_cast<Pair*>(take(kQueryBlock * kKeyBlock / 2));
  return parts;
}

void AttendPacked(const c10::BFloat16* queries, int num_queries, const std::uint32_t* keys, const std::uint32_t* values,
                  std::int64_t first_visible, int dim, float* scratch_floats, c10::BFloat16* out,
                  std::int64_t out_stride) {
  const BlockScratch scratch = DivideScratch(scratch_floats, dim);
  const int rows = static_cast<int>(RoundUp(num_queries, kTileRows));
  const float scale = 1.0f / std::sqrt(static_cast<float>(dim));
  std::memset(scratch.queries, 0, sizeof(Pair) * rows * (dim / 2));
  std::memcpy(scratch.queries, queries, sizeof(c10::BFloat16) * num_queries * dim);
  std::memset(scratch.sums, 0, sizeof(float) * rows * dim);
  for (int row = 0; row < rows; ++row) {
    scratch.maxima[row] = -HUGE_VALF;
    scratch.totals[row] = 0;
  }
  const std::int64_t all_visible = first_visible + num_queries - 1;
  for (std::int64_t first = 0; first < all_visible; first += kKeyBlock) {
    const std::int64_t count = all_visible - first < kKeyBlock ? all_visible - first : kKeyBlock;
    ScoreBlock(scratch, rows, keys + first * (dim / 2), count, dim);
    for (int row = 0; row < rows; ++row) {
      // Rows of padding see what the last query sees.
      const std::int64_t seen = first_visible + (row < num_queries ? row : num_queries - 1) - first;
      WeighRow(scratch, row, seen < 0 ? 0 : seen < count ? seen : count, scale);
    }
    AddValues(scratch, rows, values + first / 2 * dim, count, dim);
  }
  for (int row = 0; row < num_queries; ++row) {
    const float share = 1.0f / scratch.totals[row];
    for (int i = 0; i < dim; i += kWidth) {
      Store(out + row * out_stride + i, Load(scratch.sums + row * dim + i) * share);
    }
  }
}
