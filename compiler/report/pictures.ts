/**
 * The two pictures of an entry: its kernels, and the ops before they were fused, drawn inside the kernel that each ends in.
 * Rounds of a repeat are drawn once. Plain data: boxes, groups and edges with their places.
 */
import { nameNodes, nodesOf, type Node } from '../ir/index.ts';
import { opDef } from '../ops/index.ts';
import type { EntryInput } from '../emit/build.ts';
import { bufferName } from '../plans/lower.ts';
import { operandsOf } from '../fusion/regions.ts';
import { layOut, type Box, type Placed } from './layout.ts';
import type { EntryRecord } from './record.ts';
import { repeatsIn, representatives, type Repeat } from './repeats.ts';

export interface PictureNode extends Placed {
  /** What it stands for: a kernel, an op of one, or a value that it reads. */
  readonly kind: 'kernel' | 'op' | 'view' | 'leaf';
  readonly dispatch?: number;
  readonly title: string;
  readonly subtitle?: string;
}

export interface PictureGroup extends Placed {
  readonly kind: 'kernel' | 'repeat';
  readonly title: string;
  readonly dispatch?: number;
}

export interface PictureEdge {
  readonly points: readonly (readonly [number, number])[];
  /** The dispatches it joins, when it joins two. */
  readonly from?: number;
  readonly to?: number;
}

export interface Picture {
  readonly width: number;
  readonly height: number;
  readonly nodes: readonly PictureNode[];
  readonly groups: readonly PictureGroup[];
  readonly edges: readonly PictureEdge[];
}

type Group = Omit<PictureGroup, keyof Placed> & { readonly id: string; readonly parent?: string };
type Drawn = Omit<PictureNode, keyof Placed> & Box;

/** Height of a kernel's name in its frame. */
const TITLE = 20;

/** Rough width of text: the page's sizes are fixed, its font is not. */
const textWidth = (text: string, size: number): number => Math.ceil(text.length * size * 0.6);

export class Painter {
  private readonly entry: EntryInput;
  private readonly record: EntryRecord;
  private readonly repeats: Group[] = [];
  /** The innermost repeat that each dispatch drawn lies in. */
  private readonly repeatOf = new Map<number, string>();
  /** The dispatch drawn for each dispatch: the same place in the first round. */
  private readonly shown: readonly number[];

  constructor(entry: EntryInput, record: EntryRecord) {
    this.entry = entry;
    this.record = record;
    const repeats = repeatsIn(record.dispatches.map(({ kernel }) => kernel));
    this.shown = representatives(record.dispatches.length, repeats);
    for (const repeat of repeats) this.frame(repeat);
  }

  private frame({ start, period, rounds, inner }: Repeat, parent?: string): void {
    const id = `r${this.repeats.length}`;
    this.repeats.push({ id, kind: 'repeat', title: `× ${rounds}`, parent });
    for (let i = start; i < start + period; i++) this.repeatOf.set(i, id);
    for (const repeat of inner) this.frame(repeat, id);
  }

  /** One box for each kernel. */
  kernels(opsOf: (dispatch: number) => string): Picture {
    const drawn = [...new Set(this.shown)].map((i): Drawn => {
      const { kernel } = this.record.dispatches[i];
      const subtitle = shorten(opsOf(i), 34);
      const width = Math.max(150, textWidth(kernel, 13) + 34, textWidth(subtitle, 11) + 26);
      return {
        id: `k${i}`,
        kind: 'kernel',
        dispatch: i,
        title: kernel,
        subtitle,
        width,
        height: 50,
        parent: this.repeatOf.get(i),
      };
    });
    return this.picture(drawn, this.repeats, this.flow());
  }

  /** One box for each op and each value read, in a frame for each kernel: every frame is laid out by itself. */
  ops(): Picture {
    const names = nameNodes(nodesOf(this.entry.graph));
    const insides = new Map([...new Set(this.shown)].map((i) => [i, this.inside(i, names)]));
    const frames = [...insides].map(([i, { width, height }]): Drawn => {
      const title = this.record.dispatches[i].kernel;
      const wide = Math.max(width, textWidth(title, 11) + 24);
      const parent = this.repeatOf.get(i);
      return { id: `k${i}`, kind: 'kernel', dispatch: i, title, width: wide, height: height + TITLE, parent };
    });
    const outside = this.picture(frames, this.repeats, this.flow());
    const nodes: PictureNode[] = [];
    const edges: PictureEdge[] = [...outside.edges];
    const groups: PictureGroup[] = [...outside.groups];
    outside.nodes.forEach(({ x, y, width, height, title, dispatch }) => {
      groups.push({ kind: 'kernel', title, dispatch, x, y, width, height });
      const inside = insides.get(dispatch!)!;
      const [dx, dy] = [x + Math.round((width - inside.width) / 2), y + TITLE];
      nodes.push(...inside.nodes.map((node) => ({ ...node, dispatch, x: node.x + dx, y: node.y + dy })));
      const moved = inside.edges.map(({ points }) => points.map(([px, py]) => [px + dx, py + dy] as const));
      edges.push(...moved.map((points) => ({ points })));
    });
    return { ...outside, nodes, groups, edges };
  }

  /** What one kernel computes, from the values that it reads. */
  private inside(dispatch: number, names: ReadonlyMap<Node, string>): Picture {
    const { region } = this.entry.regions[dispatch];
    const computed = new Set(region.members.filter((node) => opDef(node.op).kind !== 'leaf'));
    region.results.forEach(({ node }) => computed.add(node));
    const reads = operandsOf(region);
    const chips = reads.map((node) => readBox(node, names.get(node)!));
    const ops = [...computed].map((node) => opBox(node, names.get(node)!));
    const edges = [...computed].flatMap((node) =>
      [...new Set(node.inputs)].map((input): [string, string] => [names.get(input)!, names.get(node)!]),
    );
    return this.picture([...chips, ...ops], [], edges);
  }

  /** Which kernel's result each kernel reads. */
  private flow(): [string, string][] {
    return this.record.dispatches.flatMap(({ after }, to) =>
      after.map((from): [string, string] => [`k${this.shown[from]}`, `k${this.shown[to]}`]),
    );
  }

  private picture(drawn: readonly Drawn[], groups: readonly Group[], edges: readonly [string, string][]): Picture {
    const index = new Map(drawn.map(({ id }, i) => [id, i]));
    // From one round to the next an arrow would point up: the frame around the round says it.
    const known = new Set<string>();
    const forward = edges.filter(([from, to]) => {
      const [a, b] = [index.get(from), index.get(to)];
      const key = `${from} ${to}`;
      if (a === undefined || b === undefined || known.has(key)) return false;
      known.add(key);
      const [before, after] = [drawn[a].dispatch, drawn[b].dispatch];
      return before === undefined || after === undefined || before < after;
    });
    const { width, height, boxes, edges: points } = layOut(drawn, groups, forward);
    return {
      width,
      height,
      nodes: drawn.map(({ id, kind, dispatch, title, subtitle }) => ({
        kind,
        dispatch,
        title,
        subtitle,
        ...boxes.get(id)!,
      })),
      groups: groups.map(({ id, kind, dispatch, title }) => ({ kind, dispatch, title, ...boxes.get(id)! })),
      edges: forward.map(([from, to], i) => ({
        from: drawn[index.get(from)!].dispatch,
        to: drawn[index.get(to)!].dispatch,
        points: points[i],
      })),
    };
  }
}

function opBox(node: Node, id: string): Drawn {
  const kind = opDef(node.op).kind === 'view' ? 'view' : 'op';
  const subtitle = /^%\D/.test(id) ? id.slice(1) : undefined;
  const width = Math.max(44, textWidth(node.op, 11) + 16, textWidth(subtitle ?? '', 9) + 12);
  return { id, kind, title: node.op, subtitle, width, height: subtitle ? 32 : 22 };
}

/** A value read from memory, by the end of its name: `attn.qkv.weight`. */
function readBox(node: Node, id: string): Drawn {
  // A piece of another value has no name of its own: it goes by the value's.
  const own = /^%\d/.test(id) ? bufferName(node) : id.slice(1);
  const title = shorten(own.split('.').slice(-2).join('.'), 24);
  return { id, kind: 'leaf', title, width: textWidth(title, 10) + 14, height: 20 };
}

const shorten = (text: string, most: number): string => (text.length > most ? `${text.slice(0, most - 1)}…` : text);
