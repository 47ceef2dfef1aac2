/**
 * Concatenations that cost nothing (concats.ts): kernels write their parts anyway, or they are worth a buffer. What is stored beside
 * them is for the pass `materialize`.
 */
import { isStretch } from '../../device.ts';
import { byteSize, labelOf, labelsOf, type Node } from '../../ir/index.ts';
import { opDef, isBijection, joinedAxis, keepsOrder } from '../../ops/index.ts';
import { choiceFor, type Choice } from '../choice.ts';
import { piecesOf, tornBy } from '../concats.ts';
import type { FusionContext } from '../context.ts';
import type { Fusion } from '../group.ts';
import { isStored } from '../storage.ts';
import { chooseStored } from '../stored.ts';
import { withMaps } from './materialize.ts';

type Concats = Fusion['concats'];

/** Those that a kernel would tear, by reading one part and writing another, are ruled out. */
export function eliminateConcats(fusion: Fusion, context: FusionContext): Fusion {
  const choice = choiceFor(fusion, context);
  const stored = chooseStored({ ...choice, remarks: undefined });
  const torn = new Set<Node>();
  // It ends: each round but the last adds to `torn`, which holds concatenations of the graph.
  for (;;) {
    const concats = chooseConcats(choice, stored, torn);
    const more = concats.size ? tornIn(fusion, choice, concats) : [];
    if (!more.length) return { ...fusion, concats: chooseConcats(choice, stored, torn, context.remarks) };
    more.forEach((concat) => torn.add(concat));
  }
}

/** Those of which a group reads something and writes a part. */
function tornIn(fusion: Fusion, choice: Choice, concats: Concats): Node[] {
  const stored = chooseStored({ ...choice, concats, remarks: undefined });
  return withMaps({ ...fusion, concats }, stored).flatMap((group) => tornBy(group, stored, concats));
}

/** Those whose parts are stored without them, and those that are stored. */
function chooseConcats(
  choice: Choice,
  stored: ReadonlySet<Node>,
  torn: ReadonlySet<Node>,
  remarks?: FusionContext['remarks'],
): Concats {
  const { context, anchored } = choice;
  const concats = new Map<Node, readonly Node[]>();
  const taken = new Set<Node>();
  const isPiece = (node: Node) => isRead(node, context);
  for (const node of context.nodes.filter((joined) => joinedAxis(joined) === 0 && isPiece(joined))) {
    const pieces = piecesOf(node, isPiece);
    if (!pieces.slice(0, -1).every(({ type }) => isStretch(byteSize(type)))) continue;
    const written = pieces.map((input) => writtenFor(input, anchored));
    // More than a kernel reads: views that no kernel writes are copied to their places, one by one.
    const isWide = new Set(written).size > context.maxReads;
    if (!pieces.every((input) => isComputed(input) || (isWide && isView(input)))) continue;
    const isLoose = (part: Node) => !anchored.has(part) && opDef(part.op).kind === 'view';
    const parts = isWide ? written.map((part, i) => (isLoose(part) ? pieces[i] : part)) : written;
    if (!isWide && !stored.has(node) && !parts.every((part) => stored.has(part))) continue;
    const kinds = isWide ? ['pointwise', 'view'] : ['pointwise'];
    const why = torn.has(node)
      ? `a kernel reads one part of ${labelOf(node)} and writes another`
      : keepsApart(node, parts, choice, taken, kinds);
    if (why) {
      remarks?.missed('eliminate-concats', [node, ...parts], why);
      continue;
    }
    const done = `${labelsOf(parts)} are written where they lie in ${labelOf(node)}`;
    remarks?.applied('eliminate-concats', [node, ...parts], done);
    concats.set(node, parts);
    parts.forEach((part) => taken.add(part));
  }
  return concats;
}

/** Whether a value is wanted for anything but to be joined along the first axis with more, by one reader. */
function isRead(node: Node, { users, returned }: FusionContext): boolean {
  const [reader, ...others] = users.get(node)!;
  return returned.has(node) || !reader || others.length > 0 || joinedAxis(reader) !== 0 || isStored(reader);
}

/** Whether there is something to compute, behind views that keep all of it: what is in memory already would have to be copied. */
const isComputed = (node: Node): boolean =>
  isBijection(node)
    ? isComputed(node.inputs[0])
    : node.op !== 'copy' && !['view', 'leaf'].includes(opDef(node.op).kind);

/** Why the parts of a value cannot be written into it; undefined when they can. */
function keepsApart(
  node: Node,
  parts: readonly Node[],
  { anchored, owners, context }: Choice,
  taken: ReadonlySet<Node>,
  /** Kinds of ops that get a kernel of their own where they are wanted in memory. */
  kinds: readonly string[],
): string | undefined {
  const bytes = byteSize(node.type);
  const { maxBytes, returned } = context;
  if (bytes > maxBytes) return `a binding holds ${maxBytes} bytes and ${labelOf(node)} takes ${bytes}`;
  const result = [node, ...parts].find((value) => returned.has(value));
  if (result) return `${labelOf(result)} is a result of the graph`;
  const other = parts.find((part, i) => taken.has(part) || parts.indexOf(part) < i);
  if (other) return `${labelOf(other)} lies in one place, and is wanted in two`;
  const inner = parts.find((part) => !anchored.has(part) && (!kinds.includes(opDef(part.op).kind) || owners.has(part)));
  return inner && `no kernel writes ${labelOf(inner)}`;
}

/** A view of one value, which a kernel can copy. */
const isView = ({ op, inputs }: Node): boolean => opDef(op).kind === 'view' && inputs.length === 1;

/** The value that a kernel can write for a part: behind reshapes, which leave it as it lies. */
const writtenFor = (node: Node, anchored: ReadonlySet<Node>): Node =>
  keepsOrder(node) && !anchored.has(node) ? writtenFor(node.inputs[0], anchored) : node;
