/** Updates of state: copies that have the effect of happening all at once, put into an order. */

/** A stretch of a planned buffer. Offsets and sizes in bytes. */
export interface Place {
  readonly key: string;
  readonly offset: number;
  readonly bytes: number;
}

export interface Copy {
  readonly from: Place;
  readonly to: Place;
}

const overlap = (a: Place, b: Place): boolean =>
  a.key === b.key && a.offset < b.offset + b.bytes && b.offset < a.offset + a.bytes;

/**
 * Copies one after the other that have the effect of copying all at once. One whose target nobody still reads goes first;
 * when every target is read (a swap, a rotation), the old value of one is saved in a temporary. So is what moves within one
 * buffer, which WebGPU does not copy directly.
 */
export function orderCopies(
  updates: readonly Copy[],
  temporary: (index: number, bytes: number) => string,
): readonly Copy[] {
  const ordered: Copy[] = [];
  let left = updates.filter(({ to, from }) => to.key !== from.key || to.offset !== from.offset);
  let saved = 0;
  /** Saves what the copies in `readers` read, and lets them read that. */
  const save = (readers: readonly Copy[]) => {
    const { key } = readers[0].from;
    const offset = Math.min(...readers.map(({ from }) => from.offset));
    const bytes = Math.max(...readers.map(({ from }) => from.offset + from.bytes)) - offset;
    const store = temporary(saved++, bytes);
    ordered.push({ from: { key, offset, bytes }, to: { key: store, offset: 0, bytes } });
    left = left.map((copy) => {
      if (!readers.includes(copy)) return copy;
      return { ...copy, from: { key: store, offset: copy.from.offset - offset, bytes: copy.from.bytes } };
    });
  };
  for (const copy of left.filter(({ to, from }) => to.key === from.key)) save([copy]);
  while (left.length > 0) {
    const next = left.find((copy) => !left.some((other) => overlap(other.from, copy.to)));
    if (next) {
      ordered.push(next);
      left = left.filter((copy) => copy !== next);
    } else {
      const { to } = left[0];
      save(left.filter((copy) => overlap(copy.from, to)));
    }
  }
  return ordered;
}
