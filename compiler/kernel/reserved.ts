/**
 * Words a kernel may not use for its own names: WGSL's keywords, its reserved words and all that it declares itself (W3C, WebGPU Shading
 * Language), and what shaders written here declare (target/wgsl.ts, ops/wgsl-helpers.ts).
 */
const words = (text: string): readonly string[] => text.trim().split(/\s+/);

export const KEYWORDS = words(`
  alias break case const const_assert continue continuing default diagnostic discard else enable false fn for if let loop
  override requires return struct switch true var while`);

export const RESERVED_WORDS = words(`
  NULL Self abstract active alignas alignof as asm asm_fragment async attribute auto await become cast catch class co_await
  co_return co_yield coherent column_major common compile compile_fragment concept const_cast consteval constexpr constinit
  crate debugger decltype delete demote demote_to_helper do dynamic_cast enum explicit export extends extern external
  fallthrough filter final finally friend from fxgroup get goto groupshared highp impl implements import inline instanceof
  interface layout lowp macro macro_rules match mediump meta mod module move mut mutable namespace new nil noexcept noinline
  nointerpolation non_coherent noncoherent noperspective null nullptr of operator package packoffset partial pass patch
  pixelfragment precise precision premerge priv protected pub public readonly ref regardless register reinterpret_cast require
  resource restrict self set shared sizeof smooth snorm static static_assert static_cast std subroutine super target template
  this thread_local throw trait try type typedef typeid typename typeof union unless unorm unsafe unsized use using varying
  virtual volatile wgsl where with writeonly yield`);

/** Types, enumerants and functions. */
export const PREDECLARED = words(`
  bool f16 f32 i32 u32 array atomic ptr sampler sampler_comparison texture_1d texture_2d texture_2d_array texture_3d
  texture_cube texture_cube_array texture_multisampled_2d texture_depth_multisampled_2d texture_external texture_storage_1d
  texture_storage_2d texture_storage_2d_array texture_storage_3d texture_depth_2d texture_depth_2d_array texture_depth_cube
  texture_depth_cube_array
  vec2 vec2f vec2h vec2i vec2u vec3 vec3f vec3h vec3i vec3u vec4 vec4f vec4h vec4i vec4u
  mat2x2 mat2x2f mat2x2h mat2x3 mat2x3f mat2x3h mat2x4 mat2x4f mat2x4h mat3x2 mat3x2f mat3x2h mat3x3 mat3x3f mat3x3h mat3x4
  mat3x4f mat3x4h mat4x2 mat4x2f mat4x2h mat4x3 mat4x3f mat4x3h mat4x4 mat4x4f mat4x4h
  read write read_write function private workgroup uniform storage rgba8unorm rgba8snorm rgba8uint rgba8sint rgba16unorm
  rgba16snorm rgba16uint rgba16sint rgba16float rg8unorm rg8snorm rg8uint rg8sint rg16unorm rg16snorm rg16uint rg16sint
  rg16float r32uint r32sint r32float rg32uint rg32sint rg32float rgba32uint rgba32sint rgba32float bgra8unorm r8unorm r8snorm
  r8uint r8sint r16unorm r16snorm r16uint r16sint r16float rgb10a2unorm rgb10a2uint rg11b10ufloat
  bitcast all any select arrayLength abs acos acosh asin asinh atan atanh atan2 ceil clamp cos cosh countLeadingZeros
  countOneBits countTrailingZeros cross degrees determinant distance dot dot4U8Packed dot4I8Packed exp exp2 extractBits
  faceForward firstLeadingBit firstTrailingBit floor fma fract frexp insertBits inverseSqrt ldexp length log log2 max min mix
  modf normalize pow quantizeToF16 radians reflect refract reverseBits round saturate sign sin sinh smoothstep sqrt step tan
  tanh transpose trunc dpdx dpdxCoarse dpdxFine dpdy dpdyCoarse dpdyFine fwidth fwidthCoarse fwidthFine textureDimensions
  textureGather textureGatherCompare textureLoad textureNumLayers textureNumLevels textureNumSamples textureSample
  textureSampleBias textureSampleCompare textureSampleCompareLevel textureSampleGrad textureSampleLevel
  textureSampleBaseClampToEdge textureStore atomicLoad atomicStore atomicAdd atomicSub atomicMax atomicMin atomicAnd atomicOr
  atomicXor atomicExchange atomicCompareExchangeWeak pack4x8snorm pack4x8unorm pack4xI8 pack4xU8 pack4xI8Clamp pack4xU8Clamp
  pack2x16snorm pack2x16unorm pack2x16float unpack4x8snorm unpack4x8unorm unpack4xI8 unpack4xU8 unpack2x16snorm
  unpack2x16unorm unpack2x16float storageBarrier textureBarrier workgroupBarrier workgroupUniformLoad subgroupAdd
  subgroupExclusiveAdd subgroupInclusiveAdd subgroupAll subgroupAnd subgroupAny subgroupBallot subgroupBroadcast
  subgroupBroadcastFirst subgroupElect subgroupMax subgroupMin subgroupMul subgroupExclusiveMul subgroupInclusiveMul
  subgroupOr subgroupShuffle subgroupShuffleDown subgroupShuffleUp subgroupShuffleXor subgroupXor quadBroadcast
  quadSwapDiagonal quadSwapX quadSwapY`);

/** Of Dawn's chromium_experimental_subgroup_matrix. */
export const MATRIX_WORDS = words(`
  subgroup_matrix_left subgroup_matrix_right subgroup_matrix_result subgroupMatrixLoad subgroupMatrixStore
  subgroupMatrixMultiply subgroupMatrixMultiplyAccumulate row_major col_major`);

const OWN = words(`
  main lane group subgroup place zero nought
  sine cosine sine_quadrant tanh_ sigmoid silu gelu erf philox mul_hi infinity infinity_bits not_a_number not_a_number_bits
  is_nan maximum minimum relu clamped softplus to_i32 to_u32 exp_ log_ power select_words`);

export const RESERVED: ReadonlySet<string> = new Set([KEYWORDS, RESERVED_WORDS, PREDECLARED, MATRIX_WORDS, OWN].flat());
