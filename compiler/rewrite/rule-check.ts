/** What must hold of a rule beyond its syntax: names are bound, ops and predicates exist, every result is replaced. */
import { DitcError } from '../ir/index.ts';
import { opDef } from '../ops/index.ts';
import { PREDICATES } from './predicates.ts';
import {
  attrScalars,
  freeTerms,
  NEUTRAL,
  NOTATIONS,
  rootsOf,
  termsOf,
  type Call,
  type Rule,
  type Term,
} from './rule.ts';

/** @throws DitcError `rule`, at the place of the mistake. */
export function checkRule(rule: Rule): void {
  const wrong = (at: string, what: string, fix?: string): never => {
    throw new DitcError({ code: 'rule', where: at, what: `rule ${rule.name}: ${what}`, fix });
  };
  const roots = rootsOf(rule);
  const free = freeTerms(rule);
  const matched = new Set([...free, ...rule.match.map((e) => e.target)].map((t) => t.name));
  for (const { call } of rule.match) for (const scalar of attrScalars(call)) matched.add(scalar);

  const defined = new Set<string>();
  const usedFree = new Set<string>();
  for (const { target, call } of rule.match) {
    for (const { name } of termsOf(call)) if (!defined.has(name)) usedFree.add(name);
    if (defined.has(target.name)) wrong(target.at, `${target.name} is defined twice`);
    if (usedFree.has(target.name)) wrong(target.at, `${target.name} is used before it is defined`);
    if (target.kind === 'scalar' || target.optional) wrong(target.at, 'an equation defines a value');
    defined.add(target.name);
    checkCall(call, wrong);
  }
  if (roots.some((root) => root.target.family) && roots.length > 1) {
    wrong(roots[1].target.at, 'a family is the only result of its match');
  }

  for (const { predicate, args, at } of rule.when) {
    const names = Object.keys(PREDICATES).join(', ');
    if (!Object.hasOwn(PREDICATES, predicate)) wrong(at, `unknown condition ${predicate}`, `use one of ${names}`);
    for (const { name, at: where } of args) if (!matched.has(name)) wrong(where, `${name} is not in the match`);
  }

  const known = new Set(matched);
  for (const { target, call } of rule.rewrite) {
    for (const { name, at } of termsOf(call)) if (!known.has(name)) wrong(at, `${name} is not in the match`);
    for (const name of attrScalars(call)) if (!known.has(name)) wrong(call.at, `${name} is not in the match`);
    if (matched.has(target.name) && !roots.some((root) => root.target.name === target.name)) {
      wrong(
        target.at,
        `${target.name} is no result of the match`,
        `replace ${roots.map((r) => r.target.name).join(', ')}`,
      );
    }
    if (target.family !== (call.op === 'split')) wrong(call.at, 'split, and only split, gives a family');
    known.add(target.name);
    checkCall(call, wrong);
  }
  for (const { target } of roots) {
    if (!rule.rewrite.some((e) => e.target.name === target.name)) wrong(target.at, `${target.name} is not replaced`);
  }
  checkSample(rule, free, wrong);
}

type Wrong = (at: string, what: string, fix?: string) => never;

function checkCall(call: Call, wrong: Wrong): void {
  try {
    if (!NOTATIONS.has(call.op)) opDef(call.op);
  } catch (error) {
    if (!(error instanceof DitcError)) throw error;
    wrong(call.at, error.message);
  }
  const last = call.operands[call.operands.length - 1];
  if (call.op === 'scale' && (call.operands.length !== 2 || last.kind === 'call')) {
    wrong(call.at, 'scale takes a value and a number');
  }
  for (const operand of call.operands) if (operand.kind === 'call') checkCall(operand, wrong);
}

/** An absent operand is the last: one that its op may lack, or one that a neutral element stands for. */
function checkOptional(call: Call, wrong: Wrong): void {
  call.operands.forEach((x, i) => {
    if (x.kind === 'call') return checkOptional(x, wrong);
    if (x.kind === 'number' || !x.optional) return;
    const last = i === call.operands.length - 1 && !NOTATIONS.has(call.op);
    if (!last && !(call.op in NEUTRAL && i === 1)) wrong(x.at, `only the last operand of ${call.op} may be absent`);
  });
}

function checkSample(rule: Rule, free: readonly Term[], wrong: Wrong): void {
  for (const { call } of rule.match) checkOptional(call, wrong);
  const values = free.filter((term) => term.kind === 'value');
  for (const { value } of rule.sample) {
    if (!values.some((term) => term.name === value.name)) wrong(value.at, `${value.name} is not free in the match`);
  }
  for (const { name } of values) {
    if (!rule.sample.some((s) => s.value.name === name)) wrong(rule.at, `sample has no shape for ${name}`);
  }
}
