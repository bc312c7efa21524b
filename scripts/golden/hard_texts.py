"""Texts that are hard to cut into tokens: name -> list of (bytes, times)."""

import random


def text(value, times=1):
    return [(value.encode(), times)]


def random_bytes(seed, size):
    return random.Random(seed).randbytes(size)


def random_mix(seed, size):
    """Fragments that meet in every order: contractions, spaces, digits, marks, broken UTF-8."""
    rng = random.Random(seed)
    fragments = [
        b" ", b"  ", b"\n", b"\r\n", b"\t", b"'s", b"'S", b"'ll", b"'", b"a", b"Z", b"the", b" the", b"1", b"23", b".",
        b"...", "\u00e9".encode(), "e\u0301".encode(), "\u4e2d".encode(), "\U0001f600".encode(), "\u00a0".encode(),
        "\u3000".encode(), "\u0664".encode(), "\u2581".encode(), b"\x00", b"\xff", b"\xe2\x82", b"\xf0\x9f\x98", b"\xc2",
        b"<think>", b"<thi", b"<|im_end|>", b"a user 1", "\u017f".encode(), "'\u017f".encode(),
    ]  # fmt: skip
    return b"".join(rng.choice(fragments) for _ in range(size))


CASES = {
    "empty": text(""),
    "one space": text(" "),
    "spaces": text("   "),
    "leading and trailing spaces": text("  hello   world  "),
    "runs of spaces": text("a b  c   d    e     f      g" + " " * 40 + "h"),
    "tabs and newlines": text("a\tb\t\tc\n\n\nd \n e\n \n\n  f\t\n"),
    "CRLF": text("one\r\ntwo\r\n\r\nthree\rfour\n\rfive \r\n six"),
    "other line ends": text("a\u2028b\u2029c\u0085d\u000be\u000cf\u001cg\u001fh"),
    "unicode spaces": text("a\u00a0b\u2003c\u3000d\u00a0\u00a0e \u00a0f\u00a0 g\u205fh\u1680i\u180ej\u200bk\ufeffl\u202fm"),
    "spaces at the end": text("a\u3000\u3000"),
    "contractions": text("I'm you're he's we'll they've I'd don't it's"),
    "contractions in upper case": text("I'M YOU'RE HE'S WE'LL THEY'VE I'D DON'T It'S we'Ll"),
    "contractions folded": text("it'\u017f it'\u017fa K\u212a'\u212a we'\u017fl \u2019s it\u2019s we\u2019ll"),
    "apostrophes": text("'s' ''s 's's'ss 'sa 'tis 'v 've'ver rock'n'roll o'clock ' s"),
    "combining marks": text("e\u0301 a\u0300\u0316 Z\u0351\u036b\u0343a\u030al\u0334g\u0321o \u0301 \u0301\u0301x n\u0303o"),
    "hangul": text("\ud55c\uad6d\uc5b4 \u1112\u1161\u11ab\u1100\u116e\u11a8 \uac00\uac01"),
    "emoji": text("\U0001f600\U0001f469\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466 \U0001f1e9\U0001f1ea\U0001f3f4\U000e0067\U000e0062"
                  "\U000e007f 1\ufe0f\u20e3 \U0001f44d\U0001f3fd\u2764\ufe0f\u200d\U0001f525 \u263a \u263a\ufe0e"),
    "chinese": text("\u654f\u6377\u7684\u68d5\u8272\u72d0\u72f8\u8df3\u8fc7\u4e86\u61d2\u72d7\u3002\u4eca\u5929\u5929\u6c14\u5f88\u597d\uff0c\u6211\u4eec\u53bb\u516c\u56ed\u5427\uff01\u300c\u5f15\u300d\U00020000\U0002ebf0"),
    "japanese": text("\u543e\u8f29\u306f\u732b\u3067\u3042\u308b\u3002\u540d\u524d\u306f\u307e\u3060\u7121\u3044\u3002\u30ab\u30bf\u30ab\u30ca\u3001\uff76\uff80\uff76\uff85 ABC\uff21\uff22\uff23 \u3231\u33a1"),
    "right to left": text("\u05e9\u05b8\u05c1\u05dc\u05d5\u05b9\u05dd \u0627\u0644\u0633\u0644\u0627\u0645 \u0639\u0644\u064a\u0643\u0645 \u202babc\u202c \u0661\u0662\u0663 \u0645\u06f1\u06f2"),
    "indic and thai": text("\u0928\u092e\u0938\u094d\u0924\u0947 \u0915\u094d\u0937\u093f \u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35\u0e0a\u0e32\u0e27\u0e42\u0e25\u0e01 \u0bb5\u0ba3\u0b95\u0bcd\u0b95\u0bae\u0bcd"),
    "digits of many scripts": text("0123456789 1234567 \u0660\u0661\u0662\u0663 \u0966\u0967\u0968 \uff11\uff12\uff13 \u00bd\u00b2\u2162\u2465 \u4e00\u4e8c\u4e09 \U0001d7d8\U0001d7d9 a1b22c333 1.5e-10"),
    "digits and spaces": text("a  1   2 \n 3\n4  \n  5\t6 7  "),
    "case folds": text("\u1e9e\u00df \ufb06 \ufb01 \u0130\u0131iI \u01c5\u01c6 \u03a3\u03c3\u03c2 \u017f\u212a\u212b"),
    "special tokens": text("<|im_start|>system\nobey<|im_end|>\n<|endoftext|><s>[INST] <<SYS>> </s> <unk> <0x0A> <repo_name>"
                           "<|start_header_id|><|eot_id|> <|im_end |> <|im_end|"),
    "user-defined pieces": text("<think>let me</think><think<think> <thin a user 1a user 12 \n\n\n\n \u00e9\u4e2d\u00e9\u4e2da\u00e9 <think>1</think"),
    "space symbols": text("\u2581a \u2581 b\u2581\u2581c\u2581 \u2581"),
    "replacement characters": text("a\ufffdb \ufffd\ufffd"),
    "nul": [(b"a\0b\0\0 \0c\0", 1)],
    "control characters": [(bytes(range(32)) + b"\x7f" + "\u0080\u009f".encode(), 1)],
    "all bytes": [(bytes(range(256)), 1)],
    "all bytes backwards": [(bytes(range(255, -1, -1)), 1)],
    "truncated sequences": [(b"a\xc3 b\xe2\x82 c\xf0\x9f\x98 d\xf0\x9f e\xe2", 1)],
    "truncated at the end": [(b"end\xf0\x9f\x98", 1)],
    "overlong and surrogates": [(b"\xc0\xaf\xe0\x80\xaf\xf0\x80\x80\xaf \xed\xa0\x80\xed\xb0\x80 \xf4\x90\x80\x80 \xfe\xff\xf8\x88\x80\x80\x80", 1)],
    "continuations": [(b"x\x80\x80\xbf y\xbf", 1)],
    "noncharacters": text("\ufdd0\ufffe\uffff\U0001ffff\U0010ffff\ue000"),
    "new letters and numbers": text("a\U00031350b\U00011f04\U0001e030 \U00010d40\U00011de0\U00016ff4 \u1c89\ua7cb"),
    "long word": text("pneumonoultramicroscopicsilicovolcanoconiosis", 60),
    "long run of a letter": text("a", 20000),
    "long run of spaces": [(b"x", 1), (b" ", 20000), (b"y", 1)],
    "long run of newlines": [(b"x", 1), (b"\n", 20000)],
    "long run of mixed space": [(b" \n\t\r\n", 5000), (b"z", 1)],
    "long run of digits": text("7", 20000),
    "long run of punctuation": text("=-", 10000),
    "long run of marks": [(b"e", 1), ("\u0301".encode(), 10000)],
    "long run of emoji": text("\U0001f600", 5000),
    "long run of broken bytes": [(b"\xf0\x9f", 10000)],
    "unknown to small vocabularies": text("\u4e2d\u6587 \u4e2d\u6587abc\u4e2d \u6587\u6587 \u00e9\u00e8"),
    "base64": text("TWFuIGlzIGRpc3Rpbmd1aXNoZWQsIG5vdCBvbmx5IGJ5IGhpcyByZWFzb24sIGJ1dCBieSB0aGlz" * 8),
    "code": text("if (x_1 != 0x7F && *p++ == '\\n') {\n\t\treturn f(a[i], \"s\");  // \u03bb\n}\n"),
    "camel case": text("getHTTPResponseCode parseXMLAndJSON2Html iPhone15ProMax snake_case__name kebab-case--x"),
    **{f"random bytes {seed}": [(random_bytes(seed, 300), 1)] for seed in range(4)},
    **{f"random mix {seed}": [(random_mix(seed, 150), 1)] for seed in range(8)},
    "long random mix": [(random_mix(99, 20000), 1)],
}  # fmt: skip
