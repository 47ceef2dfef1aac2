/** Parts of `ditc train` that need no device: signals, sizes, settings. */
import { afterEach, describe, expect, it, vi } from 'vitest';
import { stoppable } from '../../cli/interrupt.ts';
import { checkMemory } from '../../library/memory.ts';
import { memorySize } from '../../cli/options.ts';
import { settle } from '../../cli/train/settings.ts';

describe('stoppable', () => {
  afterEach(() => void vi.restoreAllMocks());

  it('takes the first signal as a request and the second as an order', async () => {
    const exit = vi.spyOn(process, 'exit').mockImplementation((() => {}) as never);
    const kill = vi.spyOn(process, 'kill').mockImplementation((() => {}) as never);
    const before = process.listenerCount('SIGINT');
    await stoppable(async (stop) => {
      process.emit('SIGINT', 'SIGINT');
      expect(stop.aborted).toBe(true);
      expect(kill).not.toHaveBeenCalled();
      process.emit('SIGINT', 'SIGINT');
      expect(kill).toHaveBeenCalledExactlyOnceWith(process.pid, 'SIGINT');
      expect(exit).toHaveBeenCalledExactlyOnceWith(130);
    });
    expect(process.listenerCount('SIGINT')).toBe(before);
  });
});

describe('--memory', () => {
  it.each<[string, number]>([
    ['4GB', 4e9],
    ['512 MiB', 512 * 2 ** 20],
    ['1.5g', 1.5e9],
    ['6e9', 6e9],
    ['800b', 800],
  ])('%s is %d bytes', (text, size) => expect(memorySize(text)).toBe(size));

  it.each(['', '-1', '0', 'GB', '4 parsecs', '1.2.3', '1e999'])('"%s" is no size', (text) => {
    expect(() => memorySize(text)).toThrow(/--memory is/);
  });

  it.each<[string, (batch: number) => number]>([
    ['even', (n) => 1000 + 10 * n],
    ['jumping', (n) => 1000 + 64 * Math.ceil(n / 7)],
    ['growing', (n) => 1000 + n ** 2],
  ])('names the largest batch that fits, whatever memory grows by: %s', (_, total) => {
    const needOf = (batch: number) => ({ fixed: 1000, total: total(batch) });
    const largest = Array.from({ length: 499 }, (_, i) => i + 1).findLast((n) => total(n) <= 1500);
    expect(() => checkMemory(1500, 500, needOf)).toThrow(`give --batch ${largest}, the largest that fits`);
    expect(() => checkMemory(1000, 500, needOf)).toThrow('not even --batch 1 fits');
    expect(() => checkMemory(total(500), 500, needOf)).not.toThrow();
  });
});

describe('settings', () => {
  it('are those given, then the checkpoint’s, then the defaults', () => {
    expect(settle({ options: {} }).settings).toEqual({
      batch: 32,
      seed: 0,
      flip: false,
      val: 0,
      dtype: 'f32',
      options: {},
    });
    const saved = { batch: 8, seed: 3, flip: true, val: 0, dtype: 'f32' as const, options: { lr: 0.1, ema: 0.99 } };
    expect(settle({ options: {} }, saved)).toEqual({ settings: saved, notes: [] });
    const { settings, notes } = settle({ options: { lr: 0.2 }, seed: 3 }, saved);
    expect(settings).toEqual({ ...saved, options: { lr: 0.2, ema: 0.99 } });
    expect(notes).toEqual(['lr is 0.2 from here on, it was 0.1']);
  });
});
