/** Words a kernel may not use for its own names: WGSL's keywords and reserved words, builtins and helpers in use here. */
const WORDS =
  'NULL Self abstract active alignas alignof as asm asm_fragment async attribute auto await become ' +
  'cast catch class co_await co_return co_yield coherent column_major common compile compile_fragment concept const_cast consteval ' +
  'constexpr constinit crate debugger decltype delete demote demote_to_helper do dynamic_cast enum explicit export extends ' +
  'extern external fallthrough filter final finally friend from fxgroup get goto groupshared highp impl ' +
  'implements import inline instanceof interface layout lowp macro macro_rules match mediump meta mod module ' +
  'move mut mutable namespace new nil noexcept noinline nointerpolation non_coherent noncoherent noperspective null nullptr ' +
  'of operator package packoffset partial pass patch pixelfragment precise precision premerge priv protected pub ' +
  'public readonly ref regardless register reinterpret_cast require resource restrict self set shared sizeof smooth ' +
  'snorm static static_assert static_cast std subroutine super target template this thread_local throw trait try ' +
  'type typedef typeid typename typeof union unless unorm unsafe unsized use using varying virtual ' +
  'volatile wgsl where with writeonly yield ' +
  'alias break case const const_assert continue continuing default diagnostic discard else enable false fn ' +
  'for if let loop override requires return struct switch true var while ' +
  'bool f16 f32 i32 u32 vec2 vec3 vec4 vec4f vec2u vec4u vec3u array atomic ' +
  'ptr sampler texture_2d storage workgroup uniform private function read write read_write ' +
  'min max fma select exp log sqrt inverseSqrt sin cos tanh abs floor ceil ' +
  'round sign clamp pow dot cross length step mix all any subgroupAdd subgroupMul subgroupMin subgroupMax subgroupBroadcast ' +
  'subgroupShuffle subgroupShuffleXor ' +
  'workgroupBarrier ' +
  'main lane group zero sine cosine sine_quadrant tanh_ sigmoid silu gelu erf philox mul_hi ' +
  'infinity infinity_bits not_a_number not_a_number_bits nought is_nan maximum minimum relu clamped to_i32 to_u32 exp_ log_ power';

export const RESERVED: ReadonlySet<string> = new Set(WORDS.trim().split(/\s+/));
