"""What goes wrong in a run, and when: a pure function of the seed.

Faults are dealt from a deck that is shuffled anew each time, so that every kind comes once in a while and in any
order. They overlap: each is begun at its time and ends `lasts` seconds later, whatever else is broken then.
`pick` (0 to 1) chooses at run time among what is there by then: a supervisor, a task, a model server, a backup.
"""
import dataclasses
import random

from cluster import GATEWAYS, LEASE, NODES, PROGRAMS

DECK = {
    "kill": 6, "stop": 4,
    "kill_supervisor": 1, "stop_supervisor": 1, "kill_task": 1, "stop_task": 1, "kill_server": 1, "stop_server": 1,
    "fill_disk": 2, "slow_disk": 2, "clock": 3, "cut": 5, "backup": 2, "restore": 1,
}
CLOCKS = (-400 * 86400, -26 * 3600, -600, -5, 5, 600, 26 * 3600, 400 * 86400)
ROUTES = (*NODES, *GATEWAYS, *(f"{g}-agents" for g in GATEWAYS))


@dataclasses.dataclass(frozen=True)
class Fault:
    at: float
    kind: str
    victim: str = ""
    lasts: float = 0.0
    how: str = ""
    pick: float = 0.0

    def __str__(self):
        words = [f"{self.at:7.1f} s", self.kind, self.victim, self.how, f"for {self.lasts:.1f} s" if self.lasts else ""]
        return " ".join(w for w in words if w)


def deal(rng, at, kind):
    length = rng.choice([rng.uniform(0.2, 1.5), rng.uniform(1, LEASE), rng.uniform(LEASE, 1.5 * LEASE)])
    pick = rng.random()
    victim, how = "", ""
    if kind in ("kill", "stop"):
        victim = rng.choice(["head", "head", *PROGRAMS])
        if kind == "kill" and rng.random() < 0.6:
            length = 0.0
    elif kind in ("fill_disk", "slow_disk"):
        victim = rng.choice(["head", "head", *NODES])
        how = f"{rng.choice([20, 200, 1500])} ms" if kind == "slow_disk" else ""
    elif kind == "clock":
        victim = rng.choice(["head", "head", *NODES, *GATEWAYS])
        how = f"{rng.choice(CLOCKS):+d}"
    elif kind == "cut":
        victim, how = rng.choice(ROUTES), rng.choice(["silent", "silent", "half", "reset"])
    elif kind == "backup":
        how, length = rng.choice(["backup", "backup", "copy"]), 0.0
    elif kind in ("restore", "kill_supervisor", "kill_task", "kill_server"):
        length = 0.0
    return Fault(round(at, 2), kind, victim, round(length, 2), how, round(pick, 6))


def make_plan(seed, seconds):
    rng = random.Random(f"chaos {seed}")
    plan, at, deck = [], rng.uniform(1, 3), []
    while at < seconds:
        if not deck:
            deck = [kind for kind, count in DECK.items() for _ in range(count)]
            rng.shuffle(deck)
        plan.append(deal(rng, at, deck.pop()))
        at += rng.uniform(0.2, 2.4)
    return plan
