/**
 * Products over windows of a value, as in a convolution: an axis of an operand joins the elements of a window, which overlaps with those
 * beside it, and channels, of which there are many at each place.
 */
import { sizeOf, type Node } from '../ir/index.ts';
import { axesBehind, axesBeside } from './axes.ts';
import { opDef, viewOf } from './define.ts';

export interface Windows {
  /** The value that the windows are of, and the view that reads it. */
  readonly source: Node;
  readonly reader: Node;
  /** Axes of the source, those of channels last. */
  readonly sourceOrder: readonly number[];
  /** What the axis joins, outermost first, and the order in which channels come last. */
  readonly sizes: readonly number[];
  readonly order: readonly number[];
  readonly channels: number;
}

/** One of the axes that are joined: that of the source which it is, or what else it counts. */
interface Joined {
  readonly size: number;
  readonly is: number | 'element' | 'other';
}

/** What an axis of an operand joins, if that is elements of windows and channels. */
export function windowsAlong(operand: Node, axis: number): Windows | undefined {
  let joined: Joined[] = [{ size: operand.type.shape[axis], is: axis }];
  let [source, reader]: [Node, Node | undefined] = [operand, undefined];
  while (showsOne(source)) {
    const view = source;
    joined = joined.flatMap((part) => (typeof part.is === 'number' ? behind(view, part.is) : [part]));
    [reader, source] = [view, view.inputs[0]];
  }
  const channels = joined.flatMap(({ is }) => (typeof is === 'number' ? [is] : []));
  if (!reader || !channels.length || !joined.some(({ is }) => is === 'element')) return undefined;
  if (joined.some(({ is }) => is === 'other')) return undefined;
  const positions = [...joined.keys()];
  const isChannel = (i: number) => joined[i].is !== 'element';
  const { shape } = source.type;
  return {
    source,
    reader,
    sourceOrder: [...[...shape.keys()].filter((a) => !channels.includes(a)), ...channels],
    sizes: joined.map(({ size }) => size),
    order: [...positions.filter((i) => !isChannel(i)), ...positions.filter(isChannel)],
    channels: sizeOf(channels.map((a) => shape[a])),
  };
}

/** Whether a value is a view of one other, and where its elements come from hangs on nothing else. */
const showsOne = (node: Node): boolean =>
  opDef(node.op).kind === 'view' && node.inputs.length === 1 && !viewOf(node.op).rows;

/** The axes of a view's operand that one of its own joins; else what it is. */
function behind(view: Node, axis: number): Joined[] {
  const { shape } = view.inputs[0].type;
  const axes = axesBehind(view, axis);
  if (axes) return axes.map((is) => ({ size: shape[is], is }));
  const size = view.type.shape[axis];
  return [{ size, is: axesBeside(view, axis).some((other) => other > size) ? 'element' : 'other' }];
}
