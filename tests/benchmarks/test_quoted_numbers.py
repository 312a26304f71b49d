"""Numbers in sentences of the changelog and of pages are those that were measured."""

from harness import read_results
from pages import DOCS, ROOT


def check(page, sentence):
    assert sentence in " ".join(page.read_text().split()), f"{page.name} should say: {sentence}"


def from_to(numbers):
    return f"{min(numbers):.0f} to {max(numbers):.0f}"


def test_recurrent_networks_beside_both_passes():
    networks = read_results("recurrent")["networks"]
    shares = [one[dtype]["ours_over_floor"] for one in networks for dtype in ("float32", "float64")]
    ours = f"{min(shares):.1f} to {max(shares):.1f} times"
    assert {(one["size"], one["positions"]) for one in networks} == {(n, m) for n in (32, 320) for m in (30, 300)}
    check(DOCS / "attribution.md", f"With 32 or 320 numbers over 30 or 300 positions that takes {ours} as long as")
    smallest = [one for one in networks if "before" in one["float32"]["seconds"]]
    assert {(one["size"], one["positions"]) for one in smallest} == {(32, 30)}
    before = from_to([one["float32"]["before_over_floor"] for one in smallest])
    check(
        ROOT / "CHANGELOG.md",
        f"at {ours} the time of both passes in plain PyTorch; integration took {before} times at the smallest size",
    )


def test_long_ranges_beside_both_passes():
    found, page = read_results("long_range"), DOCS / "attribution.md"

    def shares(group, **of):
        rows = [one for one in found[group] if of.items() <= one.items()]
        shares = [one["ours_over_floor"] for one in rows]
        return f"{min(shares):.1f} to {max(shares):.1f} times"

    check(page, f"packed sequences, projections and cells take {shares('recurrent')} as long as both passes")
    assert [one["positions"] for one in found["scans"]] == [64, 128, 256, 512]
    check(page, f"as a loop in PyTorch, {shares('scans')} at 64 to 512 positions")
    assert {one["positions"] for one in found["attention"]} == {50, 200}
    of = {name: shares("attention", weights=name) for name in ("sparsemax", "entmax")}
    check(page, f"over 50 and 200 positions, {of['sparsemax']} for sparsemax and {of['entmax']} for entmax")


def test_mutagenesis_beside_the_whole_and_tangermeme():
    jobs = [read_results("speed_mutagenesis")["jobs"][name] for name in ("basset-like", "bpnet-like")]
    assert [(one["shape"][-1], one["positions"][1] - one["positions"][0]) for one in jobs] == [(600, 600), (2114, 300)]
    whole, fast = ([one[f"times_faster_than_{by}"]["least"] for one in jobs] for by in ("in_full", "tangermeme_fast"))
    page, beside = DOCS / "mutagenesis.md", f"{fast[0]:.1f} and {fast[1]:.1f} times as long"
    check(page, f"takes a network like Basset {whole[0]:.0f} times less time than in full, and 300 positions of 2,114")
    check(page, f"one like BPNet {whole[1]:.0f} times less; tangermeme's fast way takes {beside}")
    further = read_results("speed_mutagenesis")["further_sequences"]
    each = [further[name]["times_faster_than_tangermeme_fast"]["least"] for name in ("basset-like", "bpnet-like")]
    check(page, f"for each further sequence it takes {each[0]:.1f} and {each[1]:.1f} times as long as seqlight")


def test_the_ledger_beside_the_plain_call():
    shares = [100 * (one["ledger_over_plain"] - 1) for one in read_results("layers")["models"]]
    check(DOCS / "layers.md", f"The ledger takes {from_to(shares)} % longer than the plain call")


def test_memory_and_disk_of_a_track_of_a_human_genome():
    whole = read_results("track_memory")["runs"]["all"]
    page = DOCS / "how_to" / "genome_track.md"
    check(page, f"{whole['bytes_of_results'] / 1e9:.0f} GB for a human genome")
    check(page, f"{whole['peak'] / 1e9:.1f} GB for one with the sizes of hg38")


def test_waits_of_the_cpu_for_a_block():
    found = {state: read_results("waits")[state] for state in ("before", "after")}
    calls, run = ("deep_lift_shap", "attribute"), "run of DeepLiftShapModule"
    assert {one[name]["waits"] for one in found["after"].values() for name in (*calls, run)} == {1}
    waited = min(one[name]["waits"] for one in found["before"].values() for name in calls)
    in_runs = min(one[run]["waits"] for one in found["before"].values())
    sentence = f"where it waited {waited:.0f} times and more, in runs {in_runs:.0f} times and more"
    check(ROOT / "CHANGELOG.md", f"the CPU waits once a block, {sentence}")


def test_time_of_the_host_for_a_block():
    before, after = (
        [path["seqlight"] for model in read_results("host_time")[state]["models"].values() for path in model.values()]
        for state in ("before", "after")
    )
    less = [100 * (1 - new["block_ms"] / old["block_ms"]) for old, new in zip(before, after, strict=True)]
    more = max(new["call_ms"] - old["call_ms"] for old, new in zip(before, after, strict=True))
    check(
        ROOT / "CHANGELOG.md",
        f"{from_to(less)} % less of the processor's time for each further block, and up to {more:.0f} ms more before",
    )
