"""self_bleu.json: samples of prompts, and what nltk holds each to be worth against the others.

Sentence BLEU of four-grams with uniform weights and SmoothingFunction().method1. Words are what str.split() gives;
"ids" are samples as token ids. Long samples share parts of sentences, so that matches of every length occur, are
clipped, and are missing; the rest are edge cases.
"""

import random

from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu

from fixture_files import write_json

TEXTS = {
    "same": ["the cat sat on the mat"] * 3,
    "two": ["the cat sat on the mat", "the cat sat on a mat today"],
    "nothing_shared": ["a b c d e", "f g h i j", "k l m n o p"],
    "one_word_shared": ["a b c d e", "a g h i j k"],
    "clipped": ["the the the the the the", "the cat the dog", "the the cat"],
    "short": ["yes", "yes", "no", "yes no", "no yes no"],
    "empty": ["", "a b c d", "a b c d"],
    "white_space": ["a\tb\nc  d", " a b c d ", "a\u00a0b\u2003c\u3000d", "a\u200bb c d"],
    "unicode": ["Ça va bien, naïve Ω", "Ça va très bien, naïve Ω ok", "ça va bien"],
    "case_and_marks": ["It is red.", "It is red", "it is Red."],
    # Of two references as near in length, the shorter one counts.
    "closest_reference": ["a b c d e f", "a b c d", "a b c d e f g h", "a b c d e"],
}


def sentences():
    numbers = random.Random(11)
    words = [f"w{i}" for i in range(30)]
    phrases = [[numbers.choice(words) for _ in range(numbers.randint(2, 7))] for _ in range(12)]
    return [
        " ".join(word for _ in range(numbers.randint(1, 8)) for word in numbers.choice(phrases)) for _ in range(9)
    ]


def scores(samples):
    return [
        sentence_bleu(samples[:i] + samples[i + 1 :], sample, smoothing_function=SmoothingFunction().method1)
        for i, sample in enumerate(samples)
    ]


def make(directory):
    texts = {**TEXTS, "sentences": sentences()}
    numbers = random.Random(12)
    ids = [[numbers.randint(0, 5) for _ in range(numbers.randint(3, 40))] for _ in range(8)]
    write_json(
        directory / "self_bleu.json",
        {
            "words": {
                name: {"samples": samples, "bleu": [float(score) for score in scores([s.split() for s in samples])]}
                for name, samples in texts.items()
            },
            "ids": {"samples": ids, "bleu": scores(ids)},
        },
    )
