struct Parameters { rows: u32, step: u32, historyStride: u32, penalty: f32, halfLanes: u32 }

@group(0) @binding(5) var<uniform> parameters: Parameters;

@compute @workgroup_size(lanes)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = group.x;
  let best = bestOfRow(row, lane, parameters.penalty);
  if (lane != 0) { return; }
  let place = row * parameters.historyStride + parameters.step;
  if (best.key == NAN_KEY) { recordNan(row, place); } else { record(row, place, best.id); }
}
