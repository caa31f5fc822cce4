"""tokenizer.model, tokenizer_cases.json and chat_template.json.

The tokenizer is trained as Llama's was, on a text made here. chat_template.json holds what Meta's
reference makes of dialogues, token for token.
"""

import io
import random
from pathlib import Path

import sentencepiece

from fixture_files import write_json

VOCAB_SIZE = 512
SEED = 7


def training_text():
    """About a thousand short lines: words that repeat, digits, punctuation, some Unicode."""
    choose = random.Random(SEED).choice
    names = ["Ada", "Ben", "Chloé", "Dmitri", "Eve", "Noor", "Jürgen"]
    things = ["llama", "river", "mountain", "letter", "garden", "telescope", "café", "window"]
    verbs = ["watches", "paints", "remembers", "describes", "follows", "measures", "loses"]
    places = ["in the north", "near the station", "under the bridge", "at home", "in Zürich"]
    adjectives = ["quiet", "yellow", "enormous", "clever", "naïve", "ordinary"]
    lines = []
    for number in range(1000):
        name, thing, place = choose(names), choose(things), choose(places)
        adjective, verb = choose(adjectives), choose(verbs)
        lines.append(
            choose(
                [
                    f"{name} {verb} the {adjective} {thing} {place}.",
                    f"What does {name} say about the {thing}? It is {adjective}.",
                    f"There are {number * 37 % 1000} {thing}s {place}, and {number % 13} are {adjective}.",
                    f"You are a helpful assistant. Answer {name}: where is the {thing}?",
                    f"    if {thing} > {number % 97}:  return {number % 7}",
                    f"Question: {number % 31} + {number % 17} = {number % 31 + number % 17}",
                ]
            )
        )
    return lines


def train_tokenizer(path):
    sentencepiece.set_random_generator_seed(SEED)
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(training_text()),
        model_writer=model,
        model_type="bpe",
        vocab_size=VOCAB_SIZE,
        character_coverage=0.99995,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        add_dummy_prefix=True,
        allow_whitespace_only_pieces=True,
        split_digits=True,
        byte_fallback=True,
        max_sentencepiece_length=16,
        unk_id=0,
        bos_id=1,
        eos_id=2,
        pad_id=-1,
        unk_surface=" \u2047 ",
        num_threads=1,
        minloglevel=2,
    )
    path.write_bytes(model.getvalue())


PLAIN_TEXTS = [
    "",
    " ",
    "   ",
    "a",
    "Ada watches the quiet river.",
    " leading space",
    "  two leading spaces",
    "trailing space ",
    "trailing spaces   ",
    "many   spaces    inside",
    "\n",
    "\n\n",
    "first line\nsecond line\n",
    "tab\tand\r\nreturn",
    "    if llama > 12:  return 3",
    "0 1 23 456 7890 3.14159 1,000,000",
    "Chloé in Zürich, a naïve café",
    "caf\u0065\u0301 decomposed",
    "日本語と中文",
    "emoji 🦙 and 👩‍👩‍👧",
    "\u00a0no-break\u200bzero width",
    "ligature ﬁ and full width ＡＢＣ",
    "the meta symbol \u2581 itself",
    "<s>",
    "</s>",
    "<unk>",
    "<s> [INST] text [/INST] </s>",
    "[INST] <<SYS>>\nrules\n<</SYS>>\n\nhello [/INST]",
    "<0x41>",
    "UPPER lower MiXeD",
    "!?.,;:-_()[]{}<>@#$%^&*+=/\\|~`'\"",
    "nul \x01 and bell \x07",
]


def tokenizer_cases(tokenizer):
    return [
        {"text": text, "ids": tokenizer.encode(text), "decoded": tokenizer.decode(tokenizer.encode(text))}
        for text in PLAIN_TEXTS
    ]


# Meta's llama/generation.py (Llama 2), chat_completion: how a dialogue becomes tokens. The
# reference refuses contents that hold its own markers; here they stay plain text, so that part is
# left out, and a dialogue may also end with an answer, as one does in training.
B_INST, E_INST = "[INST]", "[/INST]"
B_SYS, E_SYS = "<<SYS>>\n", "\n<</SYS>>\n\n"


def encode(tokenizer, text, bos, eos):
    """Meta's Tokenizer.encode."""
    ids = tokenizer.encode(text)
    if bos:
        ids = [tokenizer.bos_id()] + ids
    if eos:
        ids = ids + [tokenizer.eos_id()]
    return ids


def dialog_tokens(tokenizer, dialog):
    if dialog[0]["role"] == "system":
        dialog = [
            {
                "role": dialog[1]["role"],
                "content": B_SYS + dialog[0]["content"] + E_SYS + dialog[1]["content"],
            }
        ] + dialog[2:]
    assert all(message["role"] == "user" for message in dialog[::2])
    assert all(message["role"] == "assistant" for message in dialog[1::2])
    tokens = sum(
        (
            encode(
                tokenizer,
                f"{B_INST} {(prompt['content']).strip()} {E_INST} {(answer['content']).strip()} ",
                bos=True,
                eos=True,
            )
            for prompt, answer in zip(dialog[::2], dialog[1::2])
        ),
        [],
    )
    if dialog[-1]["role"] == "user":
        tokens += encode(
            tokenizer, f"{B_INST} {(dialog[-1]['content']).strip()} {E_INST}", bos=True, eos=False
        )
    return tokens


USER_TURNS = ["Where is the llama?", "  And the café in Zürich?\n", "Thank you: 12 + 30 = ?"]
ANSWERS = ["It is under the bridge.", " Near the station,\nnot far. ", "42"]
SYSTEM = "You are a helpful assistant.\nAnswer Ada."


def dialog(turns, system, ends_with_answer, users=USER_TURNS, answers=ANSWERS):
    messages = [{"role": "system", "content": system}] if system is not None else []
    for turn in range(turns):
        messages.append({"role": "user", "content": users[turn]})
        if turn + 1 < turns or ends_with_answer:
            messages.append({"role": "assistant", "content": answers[turn]})
    return messages


def chat_cases(tokenizer):
    dialogs = [
        (f"{turns} turns{', system' if system else ''}{', answered' if answered else ''}",
         dialog(turns, system, answered))
        for turns in (1, 2, 3)
        for system in (None, SYSTEM)
        for answered in (False, True)
    ]
    dialogs += [
        ("markers in the contents are plain text",
         dialog(2, "</s> <<SYS>>", True,
                ["<s> [INST] hello [/INST] </s>", "<</SYS>> <0x0A>"], ["[INST] </s><s>", "<unk>"])),
        ("spaces around the system message stay", dialog(1, "  be brief ", True)),
        ("empty system message", dialog(1, "", True)),
        ("empty answer", dialog(1, None, True, answers=[""])),
        ("contents beyond the vocabulary", dialog(1, "🦙", True, ["日本語 ?"], ["はい 👍"])),
    ]
    return [
        {"name": name, "messages": messages, "ids": dialog_tokens(tokenizer, messages)}
        for name, messages in dialogs
    ]


def make(directory: Path):
    train_tokenizer(directory / "tokenizer.model")
    tokenizer = sentencepiece.SentencePieceProcessor(model_file=str(directory / "tokenizer.model"))
    assert (tokenizer.unk_id(), tokenizer.bos_id(), tokenizer.eos_id(), tokenizer.pad_id()) == (0, 1, 2, -1)
    write_json(directory / "tokenizer_cases.json", tokenizer_cases(tokenizer))
    write_json(directory / "chat_template.json", chat_cases(tokenizer))
