/** What any program imports: nothing here needs Node.js. */
export { bufferSource, type ByteSource, type Folder, httpFolder, httpSource, memoryFolder } from "./engine/bytes.ts"
export type { ChatMessage } from "./engine/chat.ts"
export { type Checkpoint, openCheckpoint } from "./engine/checkpoint.ts"
export type { LlamaConfig, RopeScaling } from "./engine/config.ts"
export { type AdapterFacts, Device, type DeviceOptions } from "./engine/device.ts"
export type { Edit, EditPlace, HostEdit, ShaderEdit } from "./engine/edits.ts"
export {
  AdapterError,
  DeviceLostError,
  type Fault,
  GraderError,
  InputError,
  NotFiniteError,
  OutOfMemoryError,
  RedlineError,
} from "./engine/errors.ts"
export type { Completion, GenerationOptions, Step } from "./engine/generate.ts"
export { hookShapes, type HookSelection } from "./engine/hooks.ts"
export type { HalfCounts } from "./engine/half-chunk.ts"
export { type MatmulChoice, type MatmulMode, parseMatmul } from "./engine/matmul-choice.ts"
export { describeMatmul, type MatmulFacts, type MatmulOptions, type Precision } from "./engine/matmul-path.ts"
export type { MatrixSupport } from "./engine/matrix-unit.ts"
export { nearest } from "./engine/nearest.ts"
export { type MemoryPlan, planMemory } from "./engine/memory.ts"
export { type LoadModelOptions, Model, type Prompt } from "./engine/model.ts"
export type { RunOptions, RunResult } from "./engine/run.ts"
export {
  encodeSafetensors,
  readSafetensors,
  readTensorF32,
  type SafetensorsFile,
  type TensorEntry,
} from "./engine/safetensors.ts"
export { type LoadSaeOptions, Sae, type SaeOptions, type SparseCode } from "./engine/sae.ts"
export {
  type FeatureOptions,
  type FeatureUse,
  fractionUnexplainedPerLayer,
  type TopFeature,
  topFeatures,
  type TopFeatures,
} from "./engine/sae-features.ts"
export { openSae, type SaeConfig, type SaeFiles } from "./engine/sae-files.ts"
export type { ScoreOptions, Sequence, TokenScores } from "./engine/score.ts"
export type { Directions, Steering, SteeringPositions, SteeringWay } from "./engine/steer.ts"
export type { Tensor } from "./engine/tensor.ts"
export { Tokenizer, type TokenStream } from "./engine/tokenizer.ts"
export type { LoadOptions, LoadProgress } from "./engine/weights.ts"
export { add, combine, divide, negate, scale, subtract, warningsAmong, type WeightedVector } from "./steering/algebra.ts"
export { type Coefficients, parseCoefficients } from "./steering/coefficients.ts"
export { type Crossing, defaultThreshold, findCrossing } from "./steering/crossing.ts"
export { pairsFromPrompts, pairsFromTemplate, type PromptPairsOptions, type TemplateOptions } from "./steering/datasets.ts"
export { checkEvaluator } from "./steering/evaluator.ts"
export {
  type CurvePoint,
  type EncodedPrompt,
  type FindOptions,
  type FindProgress,
  type FindPrompt,
  findRedline,
  findSettings,
  type FindSettings,
  type FoundRedline,
  type ScoredCompletion,
} from "./steering/find.ts"
export { type Agreement, agreementWithGrammar, agreementWithLabels } from "./steering/agreement.ts"
export { type GradedPoint, type GradedText, gradedTexts, type GradeSummary, summariseGrades } from "./steering/grade-summary.ts"
export {
  type Answer,
  conceptOf,
  estimateGrading,
  type Grade,
  gradeQuestions,
  type Grader,
  type GradeStore,
  type Grading,
  type GradingEstimate,
  gradingsIn,
  type Question,
  questionsOf,
} from "./steering/grades.ts"
export { Grammar, type JudgedSentence, type Judgement } from "./steering/grammar.ts"
export {
  type LayerEffect,
  type LayerMap,
  type LayerMapOptions,
  type LayerMapPoint,
  type LayerMapProgress,
  layerSets,
  mapLayers,
  type MappedSet,
  RELATIVE_COEFFICIENTS,
} from "./steering/layer-map.ts"
export { type LensToken, type VectorTokens, vectorTokens } from "./steering/lens.ts"
export { localGrader } from "./steering/local-grader.ts"
export {
  type Located,
  type Method,
  type MethodCurve,
  type MethodName,
  type MethodOptions,
  methods,
  type Pick,
} from "./steering/methods.ts"
export {
  DEFAULT_METRIC,
  type Metric,
  type MetricName,
  metricNames,
  metrics,
  type Metrics,
  parseMetricName,
} from "./steering/metrics.ts"
export { type JudgedMinimum, minimumCoefficient, type MinimumScore, scoreMinimum, TAKEN_HOLD } from "./steering/minimum.ts"
export { type Pair, parsePairs } from "./steering/pairs.ts"
export {
  type LayerQuality,
  type QualityOptions,
  type QualityProgress,
  type VectorQuality,
  vectorQuality,
} from "./steering/quality.ts"
export type { Run, RunIdentity } from "./steering/record.ts"
export { type Aspect, aspects, BEST_RATING, harmonicMean, parseRubric, type Rubric } from "./steering/rubric.ts"
export { featureVector, type SaeTrainingOptions, type SaeTrainingProgress, trainSaeVector } from "./steering/sae-vector.ts"
export { type Evaluate, type Evaluation, searchCoefficients, type SearchOptions, type SearchResult } from "./steering/search.ts"
export {
  numericVariations,
  parsePromptKinds,
  type Sensitivity,
  sensitivity,
  type SensitivityOptions,
  type StudiedVariation,
  studyVariations,
  telling,
  type Variation,
} from "./steering/sensitivity.ts"
export {
  type Candidate,
  candidates,
  compareMethods,
  defaultCandidate,
  judgeTopic,
  type StudiedPoint,
  type StudiedTopic,
  type StudyOptions,
  type StudySettings,
  type StudyTopic,
  studyTopics,
  type TopicRecord,
} from "./steering/study-run.ts"
export {
  checkTopicNames,
  type Study,
  type StudyIdentity,
  type StudyLine,
  type StudyRecord,
  type StudyResult,
} from "./steering/study-record.ts"
export { type Estimate, type JudgedPick, lastCoherent, type MethodScore } from "./steering/study.ts"
export {
  coarseThenFine,
  type CoarseThenFine,
  type CoarseThenFineOptions,
  type Replay,
  replayAll,
  replayCoarseThenFine,
  type ReplayScore,
} from "./steering/strategies.ts"
export { suffixes } from "./steering/suffixes.ts"
export { suggestLayers } from "./steering/suggest.ts"
export {
  type TrainingMethod,
  trainingMethods,
  type TrainingOptions,
  type TrainingProgress,
  trainVector,
} from "./steering/train.ts"
export { grammarTruth, type Label, Labels, type Truth, type TruthPoint } from "./steering/truth.ts"
export { encodeVector, readVector, type VectorFormat, vectorFormat } from "./steering/vector-file.ts"
export { SteeringVector, type VectorMetadata } from "./steering/vector.ts"
