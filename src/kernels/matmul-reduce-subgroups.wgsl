// The lanes' sums meet in their subgroup, the subgroups' in workgroup memory: one barrier.
var<workgroup> partial: array<array<vec4f, TOKENS>, LANES / 4>; // the smallest subgroup has 4 lanes
var<workgroup> squares: array<array<f32, TOKENS>, LANES / 4>;

@compute @workgroup_size(LANES)
fn main(
  @builtin(local_invocation_index) lane: u32,
  @builtin(workgroup_id) group: vec3u,
  @builtin(subgroup_id) subgroup: u32,
  @builtin(num_subgroups) subgroups: u32,
) {
  let sums = sumsOf(lane, group);
  for (var t = 0u; t < TOKENS; t++) {
    let rows = subgroupAdd(sums.rows[t]);
    let square = subgroupAdd(sums.squares[t]);
    if (subgroupElect()) {
      partial[subgroup][t] = rows;
      squares[subgroup][t] = square;
    }
  }
  workgroupBarrier();
  if (lane >= TOKENS) { return; }
  var rows = vec4f();
  var square = 0.0;
  for (var s = 0u; s < subgroups; s++) {
    rows += partial[s][lane];
    square += squares[s][lane];
  }
  finish(group, lane, rows, square);
}
