/** How a sampling entry knows its steps: those of one way back, or of as many as a run is told to take. */
import { constant, type Entry, type Tensor } from '../compiler/dsl/index.ts';
import type { WayBack } from './objective.ts';

export interface Ways {
  /** The steps that there may be. */
  readonly most: number;
  /** The rows of all ways, one way behind the other. */
  readonly all: WayBack<string>;
  /** The step that a run begins with, i32[]. */
  first(): Tensor;
  /** Where in the rows a step of the run is. */
  placeOf(step: Tensor): Tensor;
}

export function oneWay(way: WayBack<string>): Ways {
  const most = way.shares.length;
  return { most, all: way, first: () => constant(most - 1, [], 'i32'), placeOf: (step) => step };
}

/**
 * The ways of 1 to `most` steps; which of them is the input `steps`. That of n begins at row 0 + 1 + … + (n − 1), so that a step below
 * `most` is a row of the table whatever n is.
 */
export function chosenWay(e: Entry, most: number, wayBack: (steps: number) => WayBack<string>): Ways {
  const ways = Array.from({ length: most }, (_, i) => wayBack(i + 1));
  const columns = Object.fromEntries(
    Object.keys(ways[0].columns).map((name) => [name, ways.flatMap((way) => Array.from(way.columns[name]))]),
  );
  const begins = [0, ...ways.map((_, i) => (i * (i + 1)) / 2)];
  const steps = e.input('steps', [], 'i32');
  return {
    most,
    all: { columns, shares: ways.flatMap(({ shares }) => shares) },
    first: () => steps.sub(1),
    // Looked up, so that the table's length says how many steps may be asked for.
    placeOf: (step) =>
      constant(begins, [most + 1], 'i32')
        .gather(steps)
        .add(step),
  };
}
