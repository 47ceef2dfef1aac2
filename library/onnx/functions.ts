/** Functions that an ONNX file declares: their nodes are written in place of a call. */
import { DitcError } from '../../compiler/ir/index.ts';
import { currentPlace } from '../../compiler/dsl/trace.ts';
import type { AttributeProto, FunctionProto, GraphProto, NodeProto } from '../../runtime/onnx/messages.ts';
import { valueIn } from './call.ts';
import type { Value, Values } from './value.ts';

/** Adds to `values` what the nodes make that the wanted ones need. */
type Write = (nodes: readonly NodeProto[], values: Values, wanted: readonly string[]) => void;

export function callFunction(
  { input, output, node, attribute, attributeProto }: FunctionProto,
  call: NodeProto,
  inputs: readonly (Value | undefined)[],
  write: Write,
): Value[] {
  const declared = [...attribute, ...attributeProto.map(({ name }) => name)];
  const other = call.attribute.find(({ name }) => !declared.includes(name));
  if (other) throw damaged(`${call.opType}: ${valueIn(other)} is no attribute of its function`);
  const more = inputs.findIndex((value, i) => value !== undefined && i >= input.length);
  if (more >= 0) throw damaged(`${call.opType}: operand ${more + 1} is more than its function takes`);
  const given = new Map([...attributeProto, ...call.attribute].map((attribute) => [attribute.name, attribute]));
  const values: Values = new Map();
  input.forEach((name, i) => {
    if (inputs[i]) values.set(name, inputs[i]);
  });
  const used = output.filter((_, i) => call.output[i]);
  write(withAttributes(node, given), values, used);
  return output.map((name, i) => {
    const found = values.get(name);
    if (found || !call.output[i]) return found!;
    throw damaged(`${call.opType}: its function does not compute ${name}`);
  });
}

const damaged = (what: string): DitcError =>
  new DitcError({ code: 'bad-format', where: currentPlace(), what, fix: 'the file is damaged: export it again' });

/** Attributes that take their values from the call; those that it does not give are left out. */
function withAttributes(nodes: readonly NodeProto[], given: ReadonlyMap<string, AttributeProto>): NodeProto[] {
  return nodes.map((node) => ({
    ...node,
    attribute: node.attribute.flatMap((attribute) => {
      if (attribute.g) return [{ ...attribute, g: inner(attribute.g, given) }];
      if (!attribute.refAttrName) return [attribute];
      const found = given.get(attribute.refAttrName);
      return found ? [{ ...found, name: attribute.name }] : [];
    }),
  }));
}

const inner = (graph: GraphProto, given: ReadonlyMap<string, AttributeProto>): GraphProto => ({
  ...graph,
  node: withAttributes(graph.node, given),
});
