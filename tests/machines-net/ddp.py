"""Run by ddp.sh: four machines, one rank each, ten steps; every rank must end with the same weights."""
import os
import re
import sys

from cluster import Cluster, PYTHON

TRAIN = """
import os, torch, torch.distributed as dist
dist.init_process_group("gloo")
torch.manual_seed(0)
model = torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(32, 4))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
torch.manual_seed(dist.get_rank() + 1)
for step in range(10):
    optimizer.zero_grad()
    model(torch.randn(64, 32)).pow(2).mean().backward()
    optimizer.step()
total = sum(p.double().sum().item() for p in model.parameters())
print(f"rank {dist.get_rank()} of {dist.get_world_size()} on {os.uname().nodename}: {total:.12f} "
      f"interface {os.environ.get('GLOO_SOCKET_IFNAME')}", flush=True)
"""


def main(bin_dir):
    with Cluster(bin_dir) as c:
        c.up()
        script = os.path.join(c.shared, "train.py")
        with open(script, "w") as out:
            out.write(TRAIN)
        job = c.submit("--name", "ddp", "--tasks", "4", "--device", "kind=GPU,count=2", "--cpus", "0.25", "--memory",
                       "512MiB", "--", PYTHON, script)
        code = c.allot("wait", job, "--timeout", "170s", check=False)
        logs = c.allot("logs", job).stdout
        print(logs)
        ranks = re.findall(r"rank (\d) of 4 on (n\d): (-?[\d.]+)", logs)
        ok = code.returncode == 0 and len({r for r, _, _ in ranks}) == 4 and len({n for _, n, _ in ranks}) == 4
        ok = ok and len({total for _, _, total in ranks}) == 1
        print("ok" if ok else f"FAILED {code}")
        return 0 if ok else 1


sys.exit(main(sys.argv[1]))
