/** What is told while work lasts: bars and names where someone watches, lines of a log elsewhere, nothing for what is quick. */
import pc from 'picocolors';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { phase, progressInTurn, startProgress } from '../../cli/progress.ts';
import type { Terminal } from '../../cli/terminal.ts';

const colors = pc.createColors(false);
let told: string[];

const terminal = (interactive: boolean): Terminal => {
  const keep = (text: string) => void told.push(text);
  return { out: () => expect.unreachable(), err: keep, interactive, outColors: colors, errColors: colors };
};

beforeEach(() => {
  told = [];
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

const later = (seconds: number) => void vi.advanceTimersByTime(1000 * seconds);

describe('a phase', () => {
  it('is named while it lasts where someone watches, and taken away', () => {
    const written: string[] = [];
    vi.spyOn(process.stderr, 'write').mockImplementation((text) => (written.push(String(text)), true));
    const during = phase(terminal(true), 'type check', () => written.join(''));
    expect(during).toBe('type check …');
    expect(() => phase(terminal(true), 'compile', () => expect.unreachable())).toThrow();
    expect(written.join('')).toBe('type check …\r\x1b[Kcompile …\r\x1b[K');
    expect(told).toEqual([]);
  });

  it('is told to a log only when it took long', () => {
    phase(terminal(false), 'type check', () => later(2));
    phase(terminal(false), 'compile', () => later(75));
    expect(told).toEqual(['compile: 75.0 s']);
  });
});

describe('progress in a log', () => {
  it('is silent of what is quick, and says every half a minute how far the rest is', () => {
    const quick = startProgress(terminal(false), 'kernels', 1, '');
    for (let i = 1; i <= 24; i++) {
      later(1);
      quick.update(i, 24);
    }
    quick.stop();
    expect(told).toEqual([]);
    const slow = startProgress(terminal(false), 'sampling', 50, 'steps');
    for (let i = 1; i <= 7; i++) {
      later(10);
      slow.update(i, 50);
    }
    expect(told).toEqual([
      'sampling 3/50 steps · 10.0 s per step · 7:50 left',
      'sampling 6/50 steps · 10.0 s per step · 7:20 left',
    ]);
  });

  it('names one of what it counts', () => {
    const bar = startProgress(terminal(false), 'checking', 17, 'dispatches');
    for (let i = 1; i <= 3; i++) {
      later(10);
      bar.update(i);
    }
    expect(told).toEqual(['checking 3/17 dispatches · 10.0 s per dispatch · 2:20 left']);
  });

  it('has the rate of what is done, not of what was queued at once', () => {
    const bar = startProgress(terminal(false), 'sampling', 50, 'steps');
    later(20); // the first step, in which kernels are compiled
    for (let i = 1; i <= 5; i++) bar.update(i);
    expect(told).toEqual([]);
    for (let i = 6; i <= 8; i++) {
      later(4);
      bar.update(i);
    }
    expect(told).toEqual(['sampling 8/50 steps · 4.00 s per step · 2:48 left']);
  });

  const tell = (waits: readonly number[]): string | undefined => {
    const bar = startProgress(terminal(false), 'runs', 50, 'runs');
    waits.forEach((wait, i) => {
      later(wait);
      bar.update(i + 1);
    });
    return told.at(-1);
  };

  it('has the rate without the compilation that queued runs wait for', () => {
    expect(tell([0, 0, 0, 0, 0, 20, 4, 4, 4])).toBe('runs 9/50 runs · 4.00 s per run · 2:44 left');
  });

  it('forgets what an entry compiles that begins in the midst of others', () => {
    expect(tell([1, 1, 40, ...Array<number>(8).fill(4)])).toBe('runs 11/50 runs · 4.00 s per run · 2:36 left');
  });

  it('says k of n where a rate means nothing', () => {
    const bar = startProgress(terminal(false), 'kernels', 1, '');
    later(31);
    bar.update(3, 24);
    expect(told).toEqual(['kernels 3 of 24']);
  });

  it('leaves logs to who writes their own', () => {
    const bar = startProgress(terminal(false), 'training', 10, 'steps', { logs: false });
    later(100);
    bar.update(1);
    expect(told).toEqual([]);
  });
});

describe('progress of work side by side', () => {
  it('is of the first that is not done, with what it had done by then', () => {
    const [kernels, weights] = progressInTurn(terminal(false), ['kernels', 'weights']);
    later(31);
    weights(50, 100);
    kernels(1, 8);
    expect(told).toEqual(['kernels 1 of 8']);
    kernels(8, 8);
    later(31);
    weights(60, 100);
    expect(told).toEqual(['kernels 1 of 8', 'weights 60 of 100']);
    weights(100, 100);
    expect(told.length).toBe(2);
  });
});
