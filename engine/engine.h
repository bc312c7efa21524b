// The engine's door: the only header that the server, the tools and the benchmarks need.
//
//   Model   weights and tokenizer. Loaded once, immutable, shared by all threads.
//   Adapter what fine-tuning adds to a model. Questions name one; it is immutable and shared as well.
//   Memory  what a session remembers. A value: copying it is an O(1) fork. One writer at a time.
//   Task    a piece of work on a memory, advanced in small steps. It may be dropped between any two steps.
//   Step    one forward pass over several tasks.
//
// There are no threads, queues or clocks behind it: who computes next is the caller's business. Nothing here throws.
// Shapes in comments: L layers, H query heads, KV key-value heads, D head dimension, W window.
#ifndef TOME_ENGINE_ENGINE_H_
#define TOME_ENGINE_ENGINE_H_

#include "engine/adapter/adapter_file.h"
#include "engine/generation/generation_options.h"
#include "engine/generation/question.h"
#include "engine/generation/step_result.h"
#include "engine/generation/task.h"
#include "engine/memory/memory.h"
#include "engine/memory/memory_options.h"
#include "engine/memory/read_range.h"
#include "engine/memory/region_run.h"
#include "engine/memory/session_cost.h"
#include "engine/model/model.h"
#include "engine/text/chat_template.h"
#include "engine/text/detokenizer.h"
#include "engine/text/text_pipeline.h"
#include "engine/text/tokenizer.h"

#endif  // TOME_ENGINE_ENGINE_H_
