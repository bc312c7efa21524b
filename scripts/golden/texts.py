"""Texts for golden values: short ones with different alphabets, and English-looking prose of any length."""

import random

SHORT = {
    "prose": "It was a bright cold day in the harbour, and the clocks of the old town were striking the hour "
    "when she opened the letter that had waited for her all winter.",
    "code": "def prefix_sums(values):\n    total = 0\n    for i, value in enumerate(values):\n"
    "        total += value\n        yield i, total  # running sum\n\n\nprint(list(prefix_sums([3, 1, 4])))\n",
    "unicode": "Zażółć gęślą jaźń. Съешь ещё этих мягких французских булок. 敏捷的棕色狐狸跳过懒狗。 "
    "👩‍👩‍👧‍👦 naïve café — “quoted” … ½ ≠ ∞",
    "digits": "Room 4096, floor 12: call 555-0199 before 23:59 on 2024-02-29. Pi is 3.14159265358979.",
}

SUBJECTS = ["the keeper", "an old sailor", "her brother", "the youngest child", "a stranger", "the miller", "every guest"]
VERBS = ["carried", "remembered", "hid", "painted", "mended", "lost", "counted", "sold", "promised"]
OBJECTS = ["the brass lantern", "three letters", "a map of the valley", "the broken clock", "seven coins", "the red boat"]
PLACES = ["under the bridge", "near the church", "behind the orchard", "in the upper room", "on the long road north"]
TIMES = ["before dawn", "that winter", "on the ninth day", "when the rain stopped", "long after midnight", "in spring"]


def prose(seed, sentences):
    """The same seed gives the same sentences."""
    rng = random.Random(seed)
    lines = []
    for number in range(1, sentences + 1):
        parts = [rng.choice(SUBJECTS), rng.choice(VERBS), rng.choice(OBJECTS), rng.choice(PLACES)]
        if rng.random() < 0.6:
            parts.append(rng.choice(TIMES))
        sentence = " ".join(parts)
        end = "\n\n" if number % 7 == 0 else " "
        lines.append(sentence[0].upper() + sentence[1:] + rng.choice([".", ".", ".", "!", "?"]) + end)
    return "".join(lines)
