/** Seeded random numbers for tests and samplers (mulberry32), and random shapes. */
import type { Shape } from '../ir/index.ts';

export class Random {
  private state: number;

  constructor(seed: number) {
    this.state = seed >>> 0;
  }

  /** Uniform in [0, 1). */
  next(): number {
    this.state = (this.state + 0x6d2b79f5) >>> 0;
    let t = this.state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  }

  /** Uniform integer in [lo, hi], both included. */
  int(lo: number, hi: number): number {
    return lo + Math.floor(this.next() * (hi - lo + 1));
  }

  uniform(lo: number, hi: number): number {
    return lo + this.next() * (hi - lo);
  }

  pick<T>(items: readonly T[]): T {
    return items[this.int(0, items.length - 1)];
  }

  shape(minRank: number, maxRank: number, maxSize = 7): number[] {
    return Array.from({ length: this.int(minRank, maxRank) }, () => this.int(1, maxSize));
  }

  permutation(n: number): number[] {
    const order = Array.from({ length: n }, (_, i) => i);
    for (let i = n - 1; i > 0; i--) {
      const j = this.int(0, i);
      [order[i], order[j]] = [order[j], order[i]];
    }
    return order;
  }

  /** A shape that broadcasts to `shape`: axes dropped from the front or set to 1. */
  broadcastable(shape: Shape): number[] {
    const kept = shape.slice(this.int(0, shape.length));
    return kept.map((n) => (this.next() < 0.3 ? 1 : n));
  }
}
