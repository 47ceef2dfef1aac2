/** What the lab counts in a listing of AMD machine code. */
import { expect, test } from 'vitest';
import { codeOf, hotLoops, mixOf } from '../../bench/lab/assembly.ts';

const LISTING = `=== ACO IR
v_fma_f32 of another listing
=== Assembly
BB0:
	s_load_b128 s[0:3], s[0:1], 0x0        ; f4080000 f8000000
	v_mov_b32_e32 v0, 0
BB1:
	global_load_b128 v[1:4], v0, s[0:1]
	ds_load_2addr_b64 v[5:8], v0 offset1:1
	ds_load_b128 v[9:12], v0 offset:32
	v_mad_u32_u24 v13, v0, 4, v1
	v_fma_f32 v14, v5, v9, v14
	v_fmac_f32_e32 v15, v6, v10
	v_dual_fmac_f32 v16, v7, v11 :: v_dual_fmac_f32 v17, v8, v12
	v_pk_fma_f16 v18, v1, v2, v18
	v_wmma_f32_16x16x16_f16 v[20:27], v[30:37], v[38:45], v[20:27]
	s_barrier
	s_cbranch_scc1 BB1
BB2:
	v_fmac_f32_e32 v15, v6, v10
	s_cbranch_scc1 BB2
	global_store_b128 v0, v[1:4], s[0:1]
	s_cbranch_vccnz BB0
	s_endpgm
`;

test('comments, labels of files and other listings are no code', () => {
  const code = codeOf(LISTING);
  expect(code[0]).toBe('BB0:');
  expect(code[1]).toBe('s_load_b128 s[0:3], s[0:1], 0x0');
  expect(code).toHaveLength(21);
});

test('the hottest loop is the innermost one that multiplies most, and its turn is counted', () => {
  const [first, second, ...rest] = hotLoops(codeOf(LISTING));
  expect(first).toEqual({
    instructions: 11,
    // fma, fmac, two issued together, two packed; 4096 of a wave of 32 by the matrix unit. The one of addresses is none.
    macs: 6 + 128,
    matrix: 1,
    ldsLoads: 2,
    ldsBytes: 16 + 16,
    globalLoads: 1,
    globalBytes: 16,
    globalStores: 0,
    barriers: 1,
  });
  expect(second).toMatchObject({ instructions: 2, macs: 1 });
  expect(rest).toEqual([]);
});

test('of code without such a loop all is counted', () => {
  const [whole, ...rest] = hotLoops([
    'BB0:',
    'v_add_f32 v0, v1, v2',
    'global_store_b64 v0, v[1:2], s[0:1]',
    's_endpgm',
  ]);
  expect(whole).toMatchObject({ instructions: 3, macs: 0, globalStores: 1 });
  expect(rest).toEqual([]);
});

test('a narrow load reads what it says', () => {
  const bytes = (op: string) => mixOf([`${op} v0, v1, s[0:1]`]).globalBytes;
  expect(['global_load_u16', 'global_load_d16_hi_b16', 'buffer_load_b32', 'global_load_dwordx3'].map(bytes)).toEqual([
    2, 2, 4, 12,
  ]);
});
