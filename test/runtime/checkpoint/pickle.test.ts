import { describe, expect, it } from 'vitest';
import { unpickle } from '../../../runtime/checkpoint/pickle.ts';
import { TORCH_GLOBALS } from '../../../runtime/checkpoint/torch-pickle.ts';
import { PickleTuple } from '../../../runtime/checkpoint/pickle-values.ts';
import type { PickleOptions } from '../../../runtime/checkpoint/pickle.ts';
import { ascii, concat, little } from './build.ts';
import { failure } from './support.ts';

const options: PickleOptions = { name: 'data.pkl', globals: TORCH_GLOBALS };
const load = (bytes: Uint8Array | string, more: Partial<PickleOptions> = {}) =>
  unpickle(typeof bytes === 'string' ? ascii(bytes) : bytes, { ...options, ...more });
const repeat = (text: string, count: number) => ascii(text.repeat(count));

describe('pickle values', () => {
  it('reads numbers of every width', () => {
    expect(load('K\xff.')).toBe(255);
    expect(load('M\xff\xff.')).toBe(65535);
    expect(load('J\xfe\xff\xff\xff.')).toBe(-2);
    expect(load('\x8a\x00.')).toBe(0);
    expect(load('\x8a\x01\xff.')).toBe(-1);
    expect(load('\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x80\x00.')).toBe(2n ** 63n);
    expect(load('\x8b\x02\x00\x00\x00\x00\x80.')).toBe(-32768);
    expect(load('G\xbf\xe0\x00\x00\x00\x00\x00\x00.')).toBe(-0.5);
    expect(load('I01\n.')).toBe(true);
    expect(load('I-12\n.')).toBe(-12);
    expect(load('L123L\n.')).toBe(123);
  });

  it('reads text, bytes and containers', () => {
    expect(load('X\x03\x00\x00\x00\xe2\x98\x83.')).toBe('☃');
    expect(load('U\x02\xe9x.')).toBe('éx');
    expect(load('C\x02\x00\xff.')).toEqual(Uint8Array.of(0, 255));
    expect(load('](K\x01K\x02e.')).toEqual([1, 2]);
    expect(load('}(K\x01K\x02u.')).toEqual(new Map([[1, 2]]));
    expect(load('(K\x01K\x02d.')).toEqual(new Map([[1, 2]]));
    expect(load('\x8f(K\x01K\x01\x90.')).toEqual(new Set([1]));
    expect(load('(NK\x01t.')).toEqual(new PickleTuple([null, 1]));
    expect(load('K\x01K\x02\x86.')).toEqual(new PickleTuple([1, 2]));
    expect(load(']q\x05h\x05\x86.')).toBeInstanceOf(PickleTuple);
  });

  it('never turns a key into a property', () => {
    const value = load('}U\x09__proto__}U\x01xK\x01ss.') as Map<string, unknown>;
    expect(value.get('__proto__')).toEqual(new Map([['x', 1]]));
    expect(({} as Record<string, unknown>).x).toBeUndefined();
  });
});

describe('hostile pickles', () => {
  const cases: [string, Uint8Array | string, RegExp][] = [
    ['an unknown global', 'cos\nsystem\n(U\x02lstR.', /at byte 0: it uses "os.system"/],
    ['builtins', 'cbuiltins\neval\n.', /"builtins.eval"/],
    ['a global named by strings', '\x8c\x02os\x8c\x06system\x93.', /"os.system"/],
    ['a name with a dot in it', '\x8c\x05torch\x8c\x0c_utils.x.y.z\x93.', /"torch._utils.x.y.z"/],
    ['an old-style instance', '(ios\nsystem\n.', /opcode 0x69 is not supported/],
    ['an OBJ', '(cargparse\nNamespace\no.', /opcode 0x6f is not supported/],
    ['the extension registry', '\x82\x01.', /opcode 0x82 is not supported/],
    ['an out-of-band buffer', '\x97.', /opcode 0x97 is not supported/],
    ['calling a string', 'U\x01x)R.', /a str is called/],
    ['calling a storage type', 'ctorch\nFloatStorage\n)R.', /torch.FloatStorage is called/],
    ['arguments that are no tuple', 'ctorch\nSize\n]R.', /call arguments are a list/],
    ['attributes for a number', 'K\x01}b.', /an int is given attributes/],
    ['an OrderedDict from a list', 'ccollections\nOrderedDict\n]\x85R.', /built from arguments/],
    ['a persistent id without an archive', 'K\x01Q.', /persistent id/],
    ['an empty stack', '0.', /the stack is empty/],
    ['popping below a mark', 'K\x01(0R.', /the stack is empty/],
    ['a mark that is not there', 'K\x01t.', /there is no MARK/],
    ['an unset memo entry', 'h\x07.', /memo entry 7 is not set/],
    ['odd items', '}(K\x01u.', /a key and no value/],
    ['a dict as a key', '}}K\x01s.', /a dict key is a dict/],
    ['a string beyond the end', 'X\xff\xff\xff\xffab', /the pickle ends too early: 4294967295 more bytes/],
    ['a 64-bit length', '\x8e\xff\xff\xff\xff\xff\xff\xff\xff', /the pickle ends too early/],
    [
      'a huge integer',
      concat(ascii('\x8b'), little([32, 100_000_000]), new Uint8Array(100)),
      /an integer takes 100000000 bytes/,
    ],
    ['a negative integer length', '\x8b\xff\xff\xff\xff.', /an integer takes -1 bytes/],
    ['a huge decimal', `L${'9'.repeat(900)}L\n.`, /is not an integer/],
    ['a line without an end', concat(ascii('c'), repeat('a', 100_000)), /a text line does not end/],
    ['bad UTF-8', 'X\x01\x00\x00\x00\xff.', /not valid UTF-8/],
    ['an unknown protocol', '\x80\x06.', /the pickle protocol is unknown/],
    ['no end', 'K\x01', /the pickle ends too early/],
    ['nothing', '', /the pickle ends too early/],
    ['a million lists on the stack', repeat(']', 1_200_000), /too many containers/],
    ['a million numbers on the stack', repeat('N', 1_200_000), /too many stack/],
    ['a million marks', repeat('(', 1_200_000), /too many stack/],
    ['doubling by DUP', repeat('2', 1_200_000), /the stack is empty/],
    ['endless opcodes', repeat('N0', 2_100_000), /too many opcodes/],
    ['dropped dicts', repeat('}0', 1_100_000), /too many containers/],
  ];
  for (const [name, bytes, message] of cases) {
    it(`refuses ${name}`, async () => {
      const start = performance.now();
      const error = await failure(() => load(bytes));
      expect(error.message).toMatch(message);
      expect(error.message).toContain('data.pkl at byte ');
      expect(performance.now() - start).toBeLessThan(5000);
    });
  }

  it('bounds the memo', async () => {
    const puts = concat(
      ascii('N'),
      ...Array.from({ length: 50 }, (_, i) => concat(ascii('r'), little([32, i * 7919]))),
    );
    const error = await failure(() => load(puts, { limits: { memo: 40 } }));
    expect(error.message).toContain('too many memo');
  });

  it('reads deep nesting without recursion', () => {
    const depth = 500_000;
    const value = load(concat(repeat(']', depth), repeat('a', depth - 1), ascii('.')));
    let level = 0;
    for (let v: unknown = value; Array.isArray(v) && v.length > 0; v = v[0]) level++;
    expect(level).toBe(depth - 1);
  });

  it('reads the billion laughs as shared lists, in no more memory than they take to write', () => {
    // Each list holds the previous one ten times: 10^60 leaves if anything expanded it.
    const levels = Array.from(
      { length: 60 },
      (_, i) => `](${`h${String.fromCharCode(i)}`.repeat(10)}eq${String.fromCharCode(i + 1)}`,
    );
    expect(load(`]q\x00${levels.join('')}.`)).toHaveLength(10);
  });

  it('accepts a list that holds itself', () => {
    const value = load(']q\x00h\x00a.') as unknown[];
    expect(value[0]).toBe(value);
  });
});
