// The lanes' sums meet in workgroup memory in two rounds: a lane adds up every SHARES-th of a token, then one lane the shares. A
// tree of rounds would take CPU drivers minutes to compile.
const SHARES = 16u;

var<workgroup> partial: array<array<vec4f, TOKENS>, LANES>;
var<workgroup> squares: array<array<f32, TOKENS>, LANES>;

@compute @workgroup_size(LANES)
fn main(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3u) {
  let sums = sumsOf(lane, group);
  partial[lane] = sums.rows;
  squares[lane] = sums.squares;
  workgroupBarrier();
  let t = lane % TOKENS;
  let share = lane / TOKENS;
  if (share < SHARES) {
    for (var i = share + SHARES; i < LANES; i += SHARES) {
      partial[share][t] += partial[i][t];
      if (NORMED) { squares[share][t] += squares[i][t]; }
    }
  }
  workgroupBarrier();
  if (lane >= TOKENS) { return; }
  var rows = vec4f();
  var square = 0.0;
  for (var s = 0u; s < SHARES; s++) {
    rows += partial[s][lane];
    if (NORMED) { square += squares[s][lane]; }
  }
  finish(group, lane, rows, square);
}
