"""Programs that take turns on one machine, by the protocol of rounds.h."""

import json
import os
import statistics
import subprocess
import sys

LEFT_OUT = 77  # exit status of a peer that cannot be had here (peers/rounds.py)

failures = []


class Failed(Exception):
    """A program ended before its turn was over; the last line that it wrote says why."""


class LeftOut(Exception):
    """It cannot be had on this machine, for a reason that it gave."""


def start(command, threads):
    environment = dict(os.environ, OMP_NUM_THREADS=str(threads), GOMP_SPINCOUNT="10000", TOKENIZERS_PARALLELISM="false")
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )


def write(process, line):
    try:
        print(line, file=process.stdin, flush=True)
    except BrokenPipeError:
        pass  # its answer will be missing


def ended(command, process):
    """What is to be raised for a program that gave no answer."""
    words = process.stderr.read().strip().splitlines()
    status = process.wait()
    reason = words[-1] if words else f"exit status {status}"
    if status == LEFT_OUT:
        return LeftOut(reason)
    failures.append(f"{' '.join(command)}: {reason}")
    print(f"failed: {failures[-1]}", file=sys.stderr, flush=True)
    return Failed(reason)


class Program:
    def __init__(self, command, threads):
        self.process = start(command, threads)
        self.command = command
        about = self.answer()
        self.name, self.work, self.flop = about["name"], about["work"], about.get("flop", 0)
        self.seconds = []
        self.parts = []  # of each round, where a program tells them apart
        self.peak_bytes = 0

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise ended(self.command, self.process)
        return json.loads(line)

    def round(self):
        write(self.process, "")
        answer = self.answer()
        self.parts.append(answer.get("parts", {}))
        return answer["seconds"]

    def end(self):
        self.process.stdin.close()
        self.peak_bytes = self.answer()["peak_bytes"]
        self.process.wait()

    @property
    def rate(self):
        return self.work / statistics.median(self.seconds)


class Turns:
    """Runs programs round by round, or `alone`, one after the other, where they do not fit beside each other in memory.
    The first round of each fills caches and plans products."""

    def __init__(self, commands, rounds, threads, alone=False):
        self.programs = []  # those that came through, in the order of the commands
        self.left_out = {}  # number of the command -> reason
        groups = [[number] for number in range(len(commands))] if alone else [range(len(commands))]
        for numbers in groups:
            started = []
            for number in numbers:
                self.attempt(number, lambda number=number: started.append((number, Program(commands[number], threads))))
            self.each(started, Program.round)
            for _ in range(rounds):
                self.each(started, lambda program: program.seconds.append(program.round()))
            self.each(started, Program.end)
            self.programs += [program for _, program in started]

    def attempt(self, number, action):
        try:
            action()
        except LeftOut as reason:
            self.left_out[number] = str(reason)
        except Failed:
            pass
        else:
            return True
        return False

    def each(self, started, action):
        for number, program in list(started):
            if not self.attempt(number, lambda program=program: action(program)):
                started.remove((number, program))


def ratio(first, second):
    """How many times as fast the first is, round by round."""
    return statistics.median((b / second.work) / (a / first.work) for a, b in zip(first.seconds, second.seconds))


def parts_of(program):
    """Median seconds of what a round is made of, the first round left out."""
    names = program.parts[-1] if program.parts else {}
    return ", ".join(f"{name} {statistics.median(part[name] for part in program.parts[1:]):.2f} s" for name in names)


class Ops:
    """bench_ops or its peer: runs the benchmark whose name it reads. One that fails is started again for the next."""

    def __init__(self, command, threads):
        self.command, self.threads = command, threads
        self.process = None

    def round(self, name):
        """What it measured."""
        self.process = self.process or start(self.command, self.threads)
        write(self.process, name)
        line = self.process.stdout.readline()
        if not line:
            process, self.process = self.process, None
            raise ended([*self.command, name], process)
        return json.loads(line)
