/** What an entry function returned, as the outputs of its graph; what cannot be one is told where the entry returns it. */
import { checkFileNames, checkName, DitcError, ownerOf, type Output } from '../ir/index.ts';
import { kindOf } from './arguments.ts';
import { Tensor } from './tensor.ts';
import { currentPlace, type Trace } from './trace.ts';

const RETURN = 'return its results by name: return { out: tensor }';

export function outputsOf(entry: string, returned: unknown, trace: Trace): Output[] {
  const fail = (what: string, fix: string) => new DitcError({ code: 'entry', where: currentPlace(), what, fix });
  if (returned === undefined) return [];
  if (returned instanceof Promise)
    throw fail(`entry ${entry} returns a promise`, 'an entry is not async: leave async out');
  if (returned instanceof Tensor) throw fail(`entry ${entry} returns a tensor without a name`, RETURN);
  if (typeof returned !== 'object' || returned === null || Symbol.iterator in returned)
    throw fail(`entry ${entry} returns ${kindOf(returned)}`, RETURN);
  const outputs = Object.entries(returned).map(([name, value]: [string, unknown]) => {
    checkName('output', name, currentPlace());
    const output = `output ${name} of entry ${entry}`;
    if (!(value instanceof Tensor)) throw fail(`${output} is ${kindOf(value)}, not a tensor`, fixFor(value));
    if (ownerOf(value.node) !== trace.builder)
      throw fail(`${output} was computed in another entry`, 'compute it in this one: call what makes it in both');
    return { name, node: value.node };
  });
  checkFileNames(
    'output',
    outputs.map(({ name }) => name),
    currentPlace(),
  );
  return outputs;
}

function fixFor(value: unknown): string {
  if (value === undefined || value === null) return 'give it a value, or leave it out';
  if (value instanceof Promise) return 'an entry is not async: leave async out';
  if (typeof value === 'number') return 'write constant(…) around it, or leave it out';
  if (Array.isArray(value)) return 'join its tensors (stack, concat), or give each a name of its own';
  if (typeof value === 'object') return 'give each of its tensors a name of its own: outputs are not nested';
  return 'return tensors only';
}
