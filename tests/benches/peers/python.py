"""Python's multiprocessing: a Process for a job, and a Pool. See README.md."""

import multiprocessing
import sys
import time

context = multiprocessing.get_context("fork")
size = int(sys.argv[1])
pool = None


def same(value):
    return value


def report(queue, value):
    queue.put(value)


def workers():
    global pool
    pool = pool or context.Pool(size)
    return pool


def each(count, pause, call):
    times = []
    for number in range(count):
        if pause:
            time.sleep(pause / 1e6)
        begun = time.monotonic_ns()
        call(number)
        times.append(time.monotonic_ns() - begun)
    return times


def fresh(count, pause=0):
    queue = context.SimpleQueue()

    def job(number):
        process = context.Process(target=report, args=(queue, number))
        process.start()
        assert queue.get() == number
        process.join()

    return each(count, pause, job)


def warm(count, pause=0):
    pool = workers()
    return each(count, pause, lambda number: pool.apply(same, (number,)))


def batch(count):
    pool = workers()

    def all_of_them(_):
        results = [pool.apply_async(same, (number,)) for number in range(count)]
        for number, result in enumerate(results):
            assert result.get() == number

    return each(1, 0, all_of_them)


def map_all(count):
    pool = workers()
    return each(1, 0, lambda _: pool.map(same, range(count)))


def payload(count, size):
    pool, data = workers(), b"x" * size
    return each(count, 0, lambda _: pool.apply(same, (data,)))


COMMANDS = {"fresh": fresh, "warm": warm, "batch": batch, "map": map_all, "payload": payload}

for line in sys.stdin:
    name, *numbers = line.split()
    if name == "quit":
        break
    command = COMMANDS.get(name)
    times = command(*map(int, numbers)) if command else []
    print(*times, flush=True)
