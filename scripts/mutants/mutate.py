"""Makes small wrong changes to the product and tells which of them no test notices; see scripts/mutate.sh."""
import argparse
import concurrent.futures
import fnmatch
import hashlib
import json
import os
import random
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import points  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
WORK = os.path.join(ROOT, 'build', 'mutants')
TREE = os.path.join(WORK, 'source')      # a copy of the tree; the normal build never sees what is in it
BUILD = os.path.join(WORK, 'build')
EQUIVALENT = os.path.join(ROOT, 'scripts', 'mutants', 'equivalent.txt')
SEEDS = 500

# What tells on each part, cheap before dear: a program, or some of its tests; allot-sim runs SEEDS seeds.
SEEDS_SAY = 'test_simulator=*SaidBefore*'
PARTS = {
    'scheduler/core': ['scheduler_core_test', 'test_scheduler_shell=Fingerprint.*:Invariants.*', SEEDS_SAY, 'allot-sim'],
    'scheduler/router': ['router_test', SEEDS_SAY, 'allot-sim'],
    'agent/core': ['test_agent_core', SEEDS_SAY, 'allot-sim'],
    'policies': ['policies_test', 'router_test', 'scheduler_core_test', SEEDS_SAY, 'allot-sim'],
    'scheduler/shell/pipeline': ['test_scheduler_shell'],
    'gateway/request_plane': ['gateway_test'],
}
# Text for people, which is read and not computed with.
LEFT_OUT = ['*/describe.cc', '*/names.cc']


def sources(part):
    if os.path.isdir(os.path.join(ROOT, part)):
        pattern = f'{part}/*.cc'
    else:
        pattern = f'{part}*.cc'
    listed = subprocess.run(['git', 'ls-files', pattern], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    return [f for f in listed if not any(fnmatch.fnmatch(f, p) for p in LEFT_OUT)]


def copy_tree():
    """Brings the copy up to date; files that have not changed keep their time, so that little is compiled."""
    listed = subprocess.run(['git', 'ls-files', '-co', '--exclude-standard', '-z'], cwd=ROOT, capture_output=True, check=True)
    wanted = {f for f in listed.stdout.decode().split('\0') if f and os.path.isfile(os.path.join(ROOT, f))}
    for name in wanted:
        put(name, open(os.path.join(ROOT, name), 'rb').read(), os.stat(os.path.join(ROOT, name)).st_mode)
    for name in set(mutated_texts) - wanted:
        put(name, b'')
    wanted |= set(mutated_texts)
    for folder, _, files in os.walk(TREE):
        for file in files:
            name = os.path.relpath(os.path.join(folder, file), TREE)
            if name not in wanted and 'node_modules' not in name:
                os.remove(os.path.join(TREE, name))
    modules = os.path.join(TREE, 'tests/openai/node_modules')
    if not os.path.lexists(modules):
        os.symlink(os.path.join(ROOT, 'tests/openai/node_modules'), modules)


mutated_texts = {}


def copy_headers():
    """As they are now: what was changed since the last run is read with them."""
    listed = subprocess.run(['git', 'ls-files', '-co', '--exclude-standard', '*.h', '*.proto'], cwd=ROOT, capture_output=True,
                            text=True, check=True)
    for name in listed.stdout.split():
        path = os.path.join(ROOT, name)
        if os.path.isfile(path):
            put(name, open(path, 'rb').read(), os.stat(path).st_mode)


def put(name, data, mode=0o644):
    data = mutated_texts.get(name, data)
    path = os.path.join(TREE, name)
    if os.path.exists(path) and open(path, 'rb').read() == data:
        return
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, 'wb') as f:
        f.write(data)
    os.chmod(path, mode & 0o777)


def run(command, log, **kwargs):
    with open(os.path.join(WORK, log), 'wb') as out:
        return subprocess.run(command, stdout=out, stderr=subprocess.STDOUT, **kwargs).returncode


def configure():
    environment = dict(os.environ, CCACHE_BASEDIR=TREE, CCACHE_NOHASHDIR='1', CCACHE_SLOPPINESS='pch_defines,time_macros')
    if run(['cmake', '-G', 'Ninja', '-S', TREE, '-B', BUILD, '-DCMAKE_EXPORT_COMPILE_COMMANDS=ON', '-DCMAKE_BUILD_TYPE=Debug',
            # As the dev preset does, so that the compiler's cache serves all that is not changed.
            '-DCMAKE_CXX_FLAGS_DEBUG=-O1 -g1', '-DALLOT_WERROR=ON', '-DALLOT_UNITY=ON'], 'configure.log', env=environment) != 0:
        sys.exit(f'mutate: configuring failed, see {WORK}/configure.log; scripts/deps.sh --test installs what is needed')
    return environment


def arguments_of(commands, name):
    words = shlex.split(commands[os.path.join(TREE, name)])
    kept = [word for word in words if word.startswith(('-I', '-D', '-std'))]
    for i, word in enumerate(words):
        if word == '-isystem':  # its folder is the next word
            kept += [word, words[i + 1]]
    # The precompiled headers are gcc's, but what they hold some files lean on.
    return ['-include', precompiled(words)] + kept if precompiled(words) else kept


def precompiled(words):
    for i, word in enumerate(words):
        if word == '-include' and words[i + 1].endswith('cmake_pch.hxx'):
            plain = os.path.join(WORK, hashlib.sha1(words[i + 1].encode()).hexdigest()[:8] + '.h')
            shutil.copyfile(words[i + 1], plain)
            return plain
    return None


def tool_text():
    with open(os.path.join(ROOT, 'scripts/mutants/points.py'), 'rb') as f:
        return f.read()


def find_all(files, commands):
    """Every change that could be made: {file: (source, points)}. Kept, for parsing takes a second a file."""
    cache = os.path.join(WORK, 'points')
    os.makedirs(cache, exist_ok=True)
    tool = tool_text()

    def one(name):
        path = os.path.join(ROOT, name)
        data = open(path, 'rb').read()
        key = hashlib.sha1(tool + name.encode() + data).hexdigest()
        kept = os.path.join(cache, key + '.json')
        if os.path.exists(kept):
            found = [points.Point(p['start'], p['end'], p['line'], [points.Change(**c) for c in p['changes']], p['whole'])
                     for p in json.load(open(kept))]
            return name, data, found
        put_plain(name, data)
        _, found = points.find(os.path.join(TREE, name), arguments_of(commands, name))
        json.dump([dict(p.__dict__, changes=[c.__dict__ for c in p.changes]) for p in found], open(kept, 'w'))
        return name, data, found

    return {name: (data, found) for name, data, found in map(one, files)}


def put_plain(name, data):
    path = os.path.join(TREE, name)
    if open(path, 'rb').read() != data:
        with open(path, 'wb') as f:
            f.write(data)


def load_equivalent():
    """Lines "file | change | reason" or "file | change @ text | reason"; file and change may have * in them, and the text
    must stand in the line that is changed."""
    known = []
    if os.path.exists(EQUIVALENT):
        for line in open(EQUIVALENT, encoding='utf-8'):
            parts = [p.strip() for p in line.split(' | ')]
            if len(parts) == 3 and not line.startswith('#'):
                known.append(parts)
    return known


def excuse(mutant, equivalent):
    what = re.sub(r'\s+', ' ', mutant.change.what)
    for name, change, reason in equivalent:
        change, _, text = change.partition(' @ ')
        # Brackets are text here, not classes of characters.
        if fnmatch.fnmatchcase(mutant.name, name) and fnmatch.fnmatchcase(what, change.replace('[', '[[]')) and \
                text in line_of(mutant):
            return reason
    return None


def line_of(mutant):
    return open(os.path.join(ROOT, mutant.name), encoding='utf-8').read().split('\n')[mutant.point.line - 1]


class Mutant:
    def __init__(self, number, part, name, point, change):
        self.number, self.part, self.name, self.point, self.change = number, part, name, point, change

    def __str__(self):
        return f'{self.name}:{self.point.line}: {self.change.what}'


def write_mutated(mutants, dropped):
    by_file = {}
    for m in mutants:
        if m.number not in dropped:
            by_file.setdefault(m.name, []).append(m)
    texts = {}
    for name, some in by_file.items():
        source = open(os.path.join(ROOT, name), 'rb').read()
        body = points.render(source, [(m.number, m.point, m.change) for m in some])
        # In a file that is included, for there warnings can be silenced: (a ? b : c) makes many.
        texts[name + '.body'] = ('#pragma GCC system_header\n' + body).encode()
        texts[name] = f'#include "{ROOT}/scripts/mutants/mutant.h"\n#include "{TREE}/{name}.body"\n'.encode()
    return texts


def build(mutants, targets, environment, remembered):
    """Builds all mutants in one go; those that do not compile are dropped. Returns their numbers."""
    dropped = set(json.load(open(remembered))) if os.path.exists(remembered) else set()
    for _ in range(12):
        mutated_texts.clear()
        mutated_texts.update(write_mutated(mutants, dropped))
        copy_tree()
        if run(['ninja', '-k', '0', '-C', BUILD] + targets, 'build.log', env=environment) == 0:
            return dropped
        bad = broken(dropped)
        if not bad:
            sys.exit(f'mutate: the build fails, and not for a mutant: see {WORK}/build.log')
        dropped |= bad
        json.dump(sorted(dropped), open(remembered, 'w'))
        print(f'{len(bad)} changes do not compile and are left out', flush=True)
    sys.exit(f'mutate: the build does not come to an end: see {WORK}/build.log')


def broken(dropped):
    bad = set()
    lines = {}
    pattern = re.compile(r'^(\S+?\.body):(\d+):\d+: error:')
    log = open(os.path.join(WORK, 'build.log'), encoding='utf-8', errors='replace').read().splitlines()
    for i, text in enumerate(log):
        found = pattern.match(text)
        if not found:
            # An error inside a library: the place in our file is told by the lines around it.
            found = re.match(r'^(\S+?\.body):(\d+):\d+:\s+required from', text)
            if not found:
                continue
        path = os.path.normpath(os.path.join(BUILD, found.group(1)))
        name = os.path.relpath(path, TREE)
        if name not in mutated_texts:
            continue
        if name not in lines:
            lines[name] = mutated_texts[name].decode().split('\n')
        at = int(found.group(2)) - 1
        here = set()
        for line in range(at, max(at - 12, -1), -1):
            here = {int(n) for n in re.findall(r'mutant\((\d+)\)', lines[name][line])} - dropped
            if here:
                break
        # Of several on a line the error may be of any; they are few.
        bad |= here
    return bad


def limited(command, seconds, mutant, reached=None):
    environment = dict(os.environ, ALLOT_MUTANT=str(mutant), GTEST_BRIEF='1', GTEST_FAIL_FAST='1', GTEST_COLOR='no')
    if reached:
        environment['ALLOT_MUTANT_REACHED'] = reached
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment, cwd=BUILD,
                               start_new_session=True, errors='replace')
    try:
        output, _ = process.communicate(timeout=seconds)
        return process.returncode, output
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return None, 'ran past its time'


def commands_of(part):
    for named in PARTS[part]:
        target, _, some = named.partition('=')
        program = os.path.join(BUILD, 'bin', target)
        if target == 'allot-sim':
            yield 'seeds', [program, '--seeds', str(SEEDS), '--first', '1', '--jobs', '1', '--events', '2000']
        elif some:
            yield named, [program, '--gtest_filter=' + some]
        else:
            # Rows and scenarios tell in a second what properties take a minute for.
            yield target, [program, '--gtest_filter=-*Property*']
            yield target + ' properties', [program, '--gtest_filter=*Property*']


def culprit(output):
    found = re.search(r'\[  FAILED  \] (\S+?)(?:,| \()', output) or re.search(r'^(seed \d+ failed.*)$', output, re.M)
    return found.group(1)[:120] if found else ''


class Baseline:
    """The program as it was written must pass; how long it takes bounds the mutants, and what it comes by tells which
    of them no test can notice."""

    def __init__(self, parts):
        self.seconds, self.reached = {}, {}
        for part in parts:
            for name, command in commands_of(part):
                if name in self.seconds:
                    continue
                file = os.path.join(WORK, 'reached')
                if os.path.exists(file):
                    os.remove(file)
                began = time.monotonic()
                code, output = limited(command, 3600, -1, file)
                self.seconds[name] = time.monotonic() - began
                if code != 0:
                    sys.exit(f'mutate: {name} fails without any mutant:\n{output[-3000:]}')
                self.reached[name] = {int(n) for n in open(file)} if os.path.exists(file) else set()
                print(f'{name}: {self.seconds[name]:.1f} s, comes by {len(self.reached[name])} changes', flush=True)


def judge(mutant, baseline, jobs):
    for name, command in commands_of(mutant.part):
        if mutant.number not in baseline.reached[name]:
            continue
        code, output = limited(command, 10 + 6 * jobs * baseline.seconds[name], mutant.number)
        if code is None:
            return 'killed', f'{name}: ran past its time'
        if code != 0:
            return 'killed', f'{name}: {culprit(output) or (f"signal {-code}" if code < 0 else f"exit {code}")}'
    if not any(mutant.number in baseline.reached[name] for name, _ in commands_of(mutant.part)):
        return 'survived', 'nothing comes by it'
    return 'survived', ''


def main():
    parser = argparse.ArgumentParser(prog='scripts/mutate.sh')
    parser.add_argument('count', type=int)
    parser.add_argument('seed', type=int, nargs='?', default=1)
    parser.add_argument('--part', action='append', choices=sorted(PARTS), help='default: all')
    parser.add_argument('--jobs', type=int, default=os.cpu_count())
    parser.add_argument('--again', action='store_true', help='try those that survived once more')
    parser.add_argument('--list', action='store_true', help='print the changes that would be made, and no more')
    options = parser.parse_args()
    parts = options.part or sorted(PARTS)
    os.makedirs(TREE, exist_ok=True)
    mutated_texts.clear()
    if not os.path.exists(os.path.join(BUILD, 'build.ninja')):
        copy_tree()
    copy_headers()
    environment = configure() if not os.path.exists(os.path.join(BUILD, 'build.ninja')) else \
        dict(os.environ, CCACHE_BASEDIR=TREE, CCACHE_NOHASHDIR='1', CCACHE_SLOPPINESS='pch_defines,time_macros')
    files = [(part, name) for part in parts for name in sources(part)]
    generated(environment)
    copy_headers()
    commands = {c['file']: c['command'] for c in json.load(open(os.path.join(BUILD, 'compile_commands.json')))}
    found = find_all([name for _, name in files], commands)
    every = [(part, name, p, c) for part, name in files for p in found[name][1] for c in p.changes]
    print(f'{len(every)} changes could be made to {len(files)} files', flush=True)

    # Some will not compile, so a few more are made than are asked for.
    rng = random.Random(options.seed)
    picked = rng.sample(every, min(len(every), options.count + options.count // 3 + 10))
    mutants = [Mutant(i, *pick) for i, pick in enumerate(picked)]
    if options.list:
        for m in mutants[:options.count]:
            print(m)
        return 0
    digest = hashlib.sha1(tool_text())
    for part, name in files:
        digest.update(name.encode() + found[name][0])
    results_file = os.path.join(WORK, f'results-{options.seed}-{options.count}-{digest.hexdigest()[:12]}.jsonl')
    results = {}
    if os.path.exists(results_file):
        for line in open(results_file):
            row = json.loads(line)
            results[row['number']] = row

    equivalent = load_equivalent()
    targets = sorted({t.partition('=')[0] for part in parts for t in PARTS[part]})
    dropped = build(mutants, targets, environment, results_file.replace('.jsonl', '.dropped'))
    mutants = [m for m in mutants if m.number not in dropped][:options.count]
    baseline = Baseline(parts)
    todo = [m for m in mutants if m.number not in results or (options.again and results[m.number]['status'] == 'survived')]
    todo = [m for m in todo if excuse(m, equivalent) is None]
    lock, done = threading.Lock(), [0]

    def one(mutant):
        status, how = judge(mutant, baseline, options.jobs)
        row = {'number': mutant.number, 'status': status, 'how': how, 'what': str(mutant)}
        with lock:
            results[mutant.number] = row
            done[0] += 1
            with open(results_file, 'a') as f:
                f.write(json.dumps(row) + '\n')
            print(f'[{done[0]}/{len(todo)}] {status:8} {mutant}  {how}', flush=True)

    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        list(pool.map(one, todo))
    return report(mutants, results, equivalent)


def generated(environment):
    """What is made from .proto files must be there for clang to read the sources."""
    listed = subprocess.run(['ninja', '-C', BUILD, '-t', 'targets', 'all'], capture_output=True, text=True, check=True).stdout
    headers = [line.split(':')[0] for line in listed.splitlines() if '.pb.h:' in line]
    if run(['ninja', '-C', BUILD] + headers, 'build.log', env=environment) != 0:
        sys.exit(f'mutate: see {WORK}/build.log')


def report(mutants, results, equivalent):
    killed = [m for m in mutants if results.get(m.number, {}).get('status') == 'killed']
    excused = [m for m in mutants if excuse(m, equivalent) is not None]
    left = [m for m in mutants if m not in killed and m not in excused]
    print('\nNobody noticed:')
    for m in sorted(left, key=lambda m: (m.name, m.point.line)):
        print(f'  {m}  [{m.change.kind}] {results.get(m.number, {}).get("how", "not tried")}')
    for m in excused:
        print(f'  (changes nothing) {m}: {excuse(m, equivalent)}')
    counted = len(mutants) - len(excused)
    by_part = {}
    for m in mutants:
        if m in excused:
            continue
        row = by_part.setdefault(m.part, [0, 0])
        row[0] += m in killed
        row[1] += 1
    print()
    for part, (noticed, all_) in sorted(by_part.items()):
        print(f'{part:26} {noticed:4} of {all_:4} noticed ({100 * noticed / all_:.0f} %)')
    print(f'{"together":26} {len(killed):4} of {counted:4} noticed ({100 * len(killed) / max(counted, 1):.0f} %)')
    return 0 if not left else 1


if __name__ == '__main__':
    sys.exit(main())
