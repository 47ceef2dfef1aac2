/** The proof of a memory plan fails where the plan is wrong: plans of a right schedule, each with one thing moved. */
import { describe, expect, it } from 'vitest';
import { parseGraph, type Node } from '../../../compiler/ir/index.ts';
import { checkMemory } from '../../../compiler/memory/check.ts';
import type { MemoryPlan, Place, Step } from '../../../compiler/memory/plan.ts';
import { planMemory } from '../../../compiler/memory/plan.ts';
import { opTable } from '../../../compiler/ops/index.ts';
import { PORTABLE } from '../../../compiler/device.ts';

/** Two products that are the parts of a whole, one that reads it, and one that lives beside them. */
const graph = parseGraph(
  `graph @g(%x: f32[16,16]) {
     %a = matmul %x, %x : f32[16,16]
     %b = matmul %x, %a : f32[16,16]
     %whole = concat %a, %b {axis = 0} : f32[32,16]
     %other = sin %x : f32[16,16]
     %z = matmul %whole, %other : f32[32,16]
     return z = %z
   }`,
  opTable,
);
const [z] = graph.outputs.map(({ node }) => node);
const [whole, other] = z.inputs;
const [a, b] = whole.inputs;

const part = (offset: number) => ({ whole, offset });
const STEPS: readonly Step[] = [
  { writes: [{ node: a, part: part(0) }], reads: [] },
  { writes: [{ node: other }], reads: [] },
  { writes: [{ node: b, part: part(1024) }], reads: [] },
  { writes: [{ node: z }], reads: [a, b, other] },
];

const plan = planMemory(STEPS, new Set([z]));

function moved(node: Node, change: (place: Place) => Partial<Place>): MemoryPlan {
  const place = plan.places.get(node)!;
  return { ...plan, places: new Map([...plan.places, [node, { ...place, ...change(place) }]]) };
}

const failure = (wrong: MemoryPlan, steps = STEPS) => {
  try {
    checkMemory(wrong, steps, PORTABLE);
  } catch (error) {
    return (error as Error).message;
  }
  return 'none';
};

describe('a whole', () => {
  it('has one place for all of its parts, for as long as any lives', () => {
    expect(failure(plan)).toBe('none');
    const [first, second, beside] = [a, b, other].map((node) => plan.places.get(node)!);
    expect(second).toEqual({ arena: first.arena, offset: first.offset + 1024, size: 1024 });
    // Where %b is to be written, %other does not lie before.
    expect(
      beside.arena === first.arena && beside.offset < first.offset + 2048 && first.offset < beside.offset + 1024,
    ).toBe(false);
  });

  it('is of parts in their places', () => {
    expect(failure(moved(b, ({ offset }) => ({ offset: offset - 256 })))).toMatch(
      /shares memory|not in its place in whole/,
    );
    expect(failure(moved(b, () => ({ offset: 2048 })))).toMatch(
      /shares memory|not in its place in whole|ends after the arena/,
    );
    expect(failure(moved(b, ({ arena }) => ({ arena: 1 - arena, offset: 0 })))).toMatch(
      /not in its place|ends after|shares memory|reads/,
    );
  });

  it('has no gap', () => {
    const steps = STEPS.map((step, i) => (i === 2 ? { ...step, writes: [{ node: b, part: part(2048) }] } : step));
    expect(failure(plan, steps)).toMatch(/at b: whole has a gap before it/);
    const [one, two, , last] = STEPS;
    const half = [one, two, { ...last, reads: [a, other] }];
    expect(failure(planMemory(half, new Set([z])), half)).toMatch(/at whole: its parts have 1024 bytes of 2048/);
  });

  it('is not read before it is written, nor from the arena that is written', () => {
    const [one, two, three, last] = STEPS;
    const early = [one, two, last, three];
    expect(failure(planMemory(early, new Set([z])), early)).toMatch(/at b: it is read before it is written/);
    // What reads one part writes another.
    const torn = [one, two, { ...three, reads: [a] }, last];
    expect(failure(planMemory(torn, new Set([z])), torn)).toMatch(
      /at b: its dispatch reads a from the arena it writes/,
    );
  });
});
