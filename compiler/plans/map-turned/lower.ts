/**
 * Elements whose order in memory is another one than that of what they are made of: where one of both is walked along, the other is here and
 * there. A workgroup computes a tile along what it reads, four of that at a time, and hands it on through workgroup memory to be stored.
 */
import { sizeOf } from '../../ir/index.ts';
import { forwardIndex } from '../../kernel/inline.ts';
import { maxOf, type Index } from '../../kernel/index-map.ts';
import { boundedGroup, builtins, range, storeFours, type Launch, type Site } from '../common.ts';
import { gridOf, strideOf, type TurnedMapPlan } from './plan.ts';

export function turnedMap(site: Site, plan: TurnedMapPlan): Launch {
  const { b, inline, outputs, region } = site;
  const { ix } = inline;
  const { axis, tall, wide, workgroup } = plan;
  const { shape } = region.root.type;
  const grid = gridOf(plan, region.root);
  const [output] = outputs;
  const columns = shape.at(-1)!;
  const others = shape.slice(0, -1).filter((_, i) => i !== axis);
  const outer = ix.unflatten(boundedGroup(site, 'groupZ', sizeOf(others)), others);
  const at = (row: Index, column: Index): Index[] => [...outer.slice(0, axis), row, ...outer.slice(axis), column];
  const column0 = ix.scale(boundedGroup(site, 'groupX', grid[0]), wide);
  const row0 = ix.scale(boundedGroup(site, 'groupY', grid[1]), tall);
  const tile = b.sharedArray('tile', wide * strideOf(plan));
  const place = (row: Index, column: Index) => ix.expr(ix.add(ix.scale(column, strideOf(plan)), row));
  const rounds = (tall * wide) / (4 * workgroup);
  const each = (fours: number, visit: (line: Index, first: Index) => void) =>
    b.loop('round', rounds, (round) => {
      const own = ix.atom(builtins(b).lane, workgroup - 1);
      const [line, four] = ix.divmod(ix.add(own, ix.scale(ix.atom(round, rounds - 1), workgroup)), fours);
      visit(line, ix.scale(four, 4));
    });
  b.comment('as it is read');
  each(tall / 4, (column, row) => {
    const [first, there] = [firstOf(site, ix.add(row0, row), shape[axis]), ix.add(column0, column)];
    const inside = ix.clamp(there, columns - 1, 'column');
    const values = range(4).map((u) => {
      const index = forwardIndex(ix, output.views, at(ix.offset(first, u), inside));
      return b.bind('computed', inline.value(output.node, index));
    });
    values.forEach((value, u) => b.storeShared(tile, place(ix.offset(row, u), column), value));
  });
  b.barrier();
  b.comment('as it is stored');
  each(wide / 4, (row, column) => {
    const [there, first] = [ix.add(row0, row), ix.add(column0, column)];
    const inside = ix.clamp(there, shape[axis] - 1, 'row');
    const from = firstOf(site, first, columns);
    const given = (u: number) =>
      inline.given.set(output.node, () => b.loadShared(tile, place(row, ix.offset(column, u))));
    const store = () => storeFours(site, [output], (u) => at(inside, ix.offset(from, u)), given);
    const isInside = [
      ...(maxOf(there) >= shape[axis] ? [b.binary('<', ix.expr(there), b.u32(shape[axis]))] : []),
      ...(maxOf(first) >= columns ? [b.binary('<', ix.expr(first), b.u32(columns))] : []),
    ];
    if (isInside.length)
      b.when(
        isInside.reduce((x, y) => b.binary('&&', x, y)),
        store,
      );
    else store();
  });
  return { workgroupSize: workgroup, grid };
}

/** The first of four beside each other, inside of so many: a multiple of 4. */
function firstOf({ inline: { ix } }: Site, first: Index, count: number): Index {
  const [four] = ix.divmod(first, 4);
  return ix.scale(ix.clamp(four, count / 4 - 1, 'four'), 4);
}
