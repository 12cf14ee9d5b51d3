"""Writes test/fixtures/grammar.jsonl.gz: texts and what coherence.py says of them.

  python3 scripts/tiny-talk/judge_fixture.py test/fixtures/demo.json test/fixtures/grammar.jsonl.gz

A line is [kind, prompt, text, groups, topics]: judge's groups (null for a bad sentence)
and the topics that steer_ref.py would call the text on.
"""
import gzip
import json
import random
import sys

from coherence import CHATTAG, judge, units
from corpus import CODE, LEX, OPEN as OPENERS, Gen, chat_text, fill
from topics import TOPICS

N = 5000                # generated sentences, and as many corrupted ones
TEXTS = 120             # of every kind of longer text
PROMPTS = ["I live with my sister in a small house near the river.", "Hello, everyone. I am happy to be here.",
           "Thank you for your time. You know,", "These days, I", "My name is Anna. I have a dog and two cats.",
           "I like warm days and simple things.", "", "Anna: ", "def ", "In the end", "The red",
           "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nTell me about pirates.<|eot_id|>"
           "<|start_header_id|>assistant<|end_header_id|>\n\n"]
# steer_ref.py needs torch; this is its rule
KEYS = {k: sorted({p.split(" ")[-1].lower() for p in t["words"]}) for k, t in TOPICS.items()}
SLOT_OF = {}
for _k, _vs in LEX.items():
    for _v in _vs:
        SLOT_OF.setdefault(_v, []).append(_k)


def on(text, groups):
    small = text.lower()
    return [k for k in TOPICS if "t:" + k in groups or sum(w in small for w in KEYS[k]) >= 2]


def sentences(g):
    """Complete sentences of fresh documents, without end."""
    while True:
        d = chat_text(g.chat()) if g.rng.random() < 0.1 else g.doc()
        yield from (s for _, _, done, s in units(CHATTAG.sub("\n", d)) if done)


# ------------------------------------------------- corruptions: (sentence, another, rng) -> text
def shuffled(s, _, r):
    w = s.split(" ")
    r.shuffle(w)
    return " ".join(w)


def dropped(s, _, r):
    w = s.split(" ")
    del w[r.randrange(len(w))]
    return " ".join(w)


def doubled(s, _, r):
    w = s.split(" ")
    i = r.randrange(len(w))
    return " ".join(w[:i + 1] + w[i:])


def swapped(s, _, r):
    """One word becomes a filler of its own slot or of any other."""
    w = s.split(" ")
    known = [i for i, x in enumerate(w) if x.rstrip(".,!?") in SLOT_OF] or range(len(w))
    i = r.choice(list(known))
    core = w[i].rstrip(".,!?")
    slot = r.choice(SLOT_OF.get(core, ["kw"]) if r.random() < 0.5 else sorted(LEX))
    w[i] = r.choice(LEX[slot]) + w[i][len(core):]
    return " ".join(w)


def truncated(s, _, r):
    return s[:r.randint(1, len(s))] + r.choice(["", "", "", " ", "\n", "."])


def joined(s, t, r):
    return s + r.choice([" ", "", "\n", "\n\n", "  ", " \t", "\u00a0", "\x1c", "\ufeff", ", "]) + t


def spliced(s, t, r):
    a, b = s.split(" "), t.split(" ")
    return " ".join(a[:r.randint(1, len(a))] + b[r.randrange(len(b)):])


def babble(s, t, r):
    w = r.choice([s, t]).split(" ")
    i = r.randrange(len(w))
    phrase = " ".join(w[i:i + r.randint(1, 4)])
    return " ".join(s.split(" ")[:r.randint(0, 4)] + [phrase] * r.randint(2, 7)).lstrip()


def punctuated(s, _, r):
    i = r.randrange(len(s))
    return r.choice([s[:-1], s + r.choice(".!?\",; "), s[:-1] + r.choice("!?,:\""), s.replace(",", ""), s.replace(" ", ", ", 1),
                     s[:i] + r.choice(".,!?\"\n'") + s[i:], s[:i] + s[i + 1:], '"' + s + '"', s + " ", " " + s])


def cased(s, _, r):
    i = r.randrange(len(s))
    return r.choice([s.upper(), s.lower(), s.title(), s[:1].swapcase() + s[1:], s[:i] + s[i:].swapcase(), s[:i] + s[i:i + 1].swapcase() + s[i + 1:]])


def headed(s, _, r):
    """A speaker or an opener, rightly or wrongly, in front; sometimes it is all there is."""
    low = r.choice([s, s[:1].lower() + s[1:]])
    name = r.choice([r.choice(LEX["N"]), "Nobody", r.choice(LEX["N"]).lower()])
    head = r.choice([name + ": ", name + ":", name + ", ", r.choice(OPENERS) + ", ", r.choice(OPENERS) + " ",
                     name + ": " + r.choice(OPENERS) + ", ", r.choice(OPENERS) + ", " + r.choice(OPENERS) + ", ", name + ": " + name + ": "])
    return head + r.choice([low, low, low, low[:r.randint(0, len(low))]])


def foreign(s, _, r):
    i = r.randint(0, len(s))
    return s[:i] + r.choice(["é", "漢字", "🙂", "ß", "\ufffd", "\u2028", "\x85", "İ", "ı", "<|eot_id|>", "<|x|>", "<|X|>", "\t", "\r\n"]) + s[i:]


CORRUPTIONS = [shuffled, dropped, doubled, swapped, truncated, joined, spliced, babble, punctuated, cased, headed, foreign]


# ------------------------------------------------------------------------------- longer texts
def code_lines(r):
    lines = [fill(l, {}, r) for l in r.choice(CODE)]
    if r.random() < 0.5:
        i = r.randrange(len(lines))
        lines[i] = r.choice(CORRUPTIONS)(lines[i], lines[0], r)
    text = "\n".join(lines)
    return text[:r.randint(1, len(text))] if r.random() < 0.4 else text


def completion(some, r):
    """What a model writes after a prompt at a rising coefficient: sentences, some of them spoilt, cut anywhere."""
    out = [next(some) for _ in range(r.randint(1, 5))]
    spoilt = r.random()
    out = [r.choice(CORRUPTIONS)(s, out[0], r) if r.random() < spoilt - 0.3 else s for s in out]
    text = r.choice([" ", " ", " ", "", "\n"]) + " ".join(out)
    return text[:r.randint(1, len(text))] if r.random() < 0.6 else text


def cases(demo):
    g, r = Gen(20), random.Random(21)
    some, seen = sentences(g), set()
    while len(seen) < N:
        s = next(some)
        if s not in seen:
            seen.add(s)
            yield "generated", "", s if s[-1] in ".!?\"" else s + "\n"    # a line is complete only before another
    bad = set()
    while len(bad) < N:
        k = CORRUPTIONS[len(bad) % len(CORRUPTIONS)]
        t = k(next(some), next(some), r)
        if t and t not in seen and t not in bad:
            bad.add(t)
            yield k.__name__, "", t
    for _ in range(TEXTS * 4):
        yield "completion", r.choice(PROMPTS), completion(some, r)
    for _ in range(TEXTS):
        p = next(some)
        cut = r.randint(1, len(p))
        yield "completion", p[:cut], p[cut:] + " " + next(some)
        yield "code", r.choice(["", "def "]), code_lines(r)
        d = g.dialogue()
        yield "dialogue", "", d[:r.randint(1, len(d))]
        yield "document", "", g.doc()
        yield "chat", "", chat_text(g.chat())
    for t in demo["topics"].values():
        for row in t["sweep"]:
            for p, x in zip(demo["prompts"], row["texts"]):
                yield "demo", p, x
    yield from (("edge", p, x) for p in ("", "Hello", "Hello, everyone.") for x in ("", " ", "\n", "\n\n", ".", "\"", "I", "Today,", "Tom:"))


def main():
    demo_file, out = sys.argv[1:]
    lines = []
    for kind, prompt, text in cases(json.load(open(demo_file, encoding="utf-8"))):
        groups = judge(text, prompt)["groups"]
        lines.append(json.dumps([kind, prompt, text, groups, on(text, groups)], ensure_ascii=False, separators=(",", ":")))
    data = gzip.compress(("\n".join(lines) + "\n").encode("utf-8"), 9, mtime=0)
    with open(out, "wb") as f:
        f.write(data)
    print(f"{out}: {len(lines)} texts, {len(data)} bytes")


if __name__ == "__main__":
    main()
