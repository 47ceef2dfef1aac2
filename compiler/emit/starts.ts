/**
 * Which entries begin what others go on from. An entry begins a state when the value it gives it depends on no state and is
 * not the zeros that the state has anyway: the first noise of a sampling, the scale of a loss. An entry that reads the state
 * before means little, and the runtime says so. A state that the model declares with values of its own has begun with those.
 */
import type { TracedEntry } from '../dsl/model.ts';
import { nodesOf, type Graph, type Node } from '../ir/index.ts';

/** For the states that an entry reads and others begin: the names of those. */
export type StartedBy = Readonly<Record<string, readonly string[]>>;

/**
 * What each of the entries goes on from. `others` traces the model's other entries, and is asked only where none of the
 * compiled ones begins anything of an entry that reads state.
 */
export function startsOf(
  entries: readonly TracedEntry[],
  others: () => readonly TracedEntry[],
): ReadonlyMap<string, StartedBy> {
  let known: readonly TracedEntry[] | undefined;
  const found = entries.map((entry) => {
    const own = startedBy(entry, entries);
    const settled = Object.keys(own).length > 0 || !statesRead(entry.graph).size;
    return [entry.graph.name, settled ? own : startedBy(entry, (known ??= others()))] as const;
  });
  return new Map(found);
}

function startedBy({ graph }: TracedEntry, candidates: readonly TracedEntry[]): StartedBy {
  const read = statesRead(graph);
  const by: Record<string, string[]> = {};
  for (const candidate of candidates) {
    for (const name of begun(candidate)) if (read.has(name)) (by[name] ??= []).push(candidate.graph.name);
  }
  // What an entry begins itself it needs nobody for.
  return Object.fromEntries(Object.entries(by).filter(([, names]) => !names.includes(graph.name)));
}

/** The states that an entry begins. */
function begun({ graph, states }: TracedEntry): string[] {
  const zeros = new Set(states.filter(({ init }) => init.kind === 'zeros').map(({ node }) => node));
  const kept = dependent(graph.updates.map(({ node }) => node));
  return graph.updates.flatMap(({ state, node }) => {
    const same = node.op === 'constant' && node.attrs.value === 0;
    const begins = zeros.has(state) && !same && !kept.has(node);
    return begins ? [nameOf(state)] : [];
  });
}

/** The states whose values an entry's results depend on. */
function statesRead({ name, outputs, updates }: Graph): Set<string> {
  const values = [...outputs, ...updates].map(({ node }) => ({ name, node }));
  const nodes = nodesOf({ name, inputs: [], outputs: values, updates: [] });
  return new Set(nodes.filter(({ op }) => op === 'state').map(nameOf));
}

const nameOf = ({ attrs }: Node): string => String(attrs.name);

/** The states that an entry sets anew: what they were before is of no account. */
export function statesSetAnew({ updates }: Graph): ReadonlySet<string> {
  const kept = dependent(updates.map(({ node }) => node));
  return new Set(
    updates.filter(({ state, node }) => state.op === 'state' && !kept.has(node)).map(({ state }) => nameOf(state)),
  );
}

/** Of these values and what they are computed from, what depends on a state; found in one walk, for entries that train set a state a parameter. */
function dependent(values: readonly Node[]): ReadonlySet<Node> {
  const outputs = values.map((node) => ({ name: '', node }));
  const found = new Set<Node>();
  for (const node of nodesOf({ name: '', inputs: [], outputs, updates: [] }))
    if (node.op === 'state' || node.inputs.some((input) => found.has(input))) found.add(node);
  return found;
}
