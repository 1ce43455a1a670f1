from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    D_TYPE_UNSPECIFIED: _ClassVar[DType]
    D_TYPE_UINT8: _ClassVar[DType]
    D_TYPE_UINT16: _ClassVar[DType]
    D_TYPE_UINT32: _ClassVar[DType]
    D_TYPE_INT16: _ClassVar[DType]
    D_TYPE_INT32: _ClassVar[DType]
    D_TYPE_INT64: _ClassVar[DType]
    D_TYPE_FLOAT32: _ClassVar[DType]
    D_TYPE_FLOAT64: _ClassVar[DType]
    D_TYPE_BOOL: _ClassVar[DType]

class ValueKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    VALUE_KIND_UNSPECIFIED: _ClassVar[ValueKind]
    VALUE_KIND_COUNTS: _ClassVar[ValueKind]
    VALUE_KIND_CONTINUOUS: _ClassVar[ValueKind]

class CandidateKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CANDIDATE_KIND_UNSPECIFIED: _ClassVar[CandidateKind]
    CANDIDATE_KIND_PIXELS: _ClassVar[CandidateKind]
    CANDIDATE_KIND_BOX: _ClassVar[CandidateKind]
    CANDIDATE_KIND_PATCHES: _ClassVar[CandidateKind]

class CampaignStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CAMPAIGN_STATUS_UNSPECIFIED: _ClassVar[CampaignStatus]
    CAMPAIGN_STATUS_RUNNING: _ClassVar[CampaignStatus]
    CAMPAIGN_STATUS_PAUSED: _ClassVar[CampaignStatus]
    CAMPAIGN_STATUS_STOPPED: _ClassVar[CampaignStatus]
    CAMPAIGN_STATUS_ABORTED: _ClassVar[CampaignStatus]

class ControlAction(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CONTROL_ACTION_UNSPECIFIED: _ClassVar[ControlAction]
    CONTROL_ACTION_PAUSE: _ClassVar[ControlAction]
    CONTROL_ACTION_PAUSE_IMMEDIATE: _ClassVar[ControlAction]
    CONTROL_ACTION_RESUME: _ClassVar[ControlAction]
    CONTROL_ACTION_STOP: _ClassVar[ControlAction]
    CONTROL_ACTION_ABORT: _ClassVar[ControlAction]

class SuggestionSource(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SUGGESTION_SOURCE_UNSPECIFIED: _ClassVar[SuggestionSource]
    SUGGESTION_SOURCE_PLANNER: _ClassVar[SuggestionSource]
    SUGGESTION_SOURCE_PREFETCH: _ClassVar[SuggestionSource]
    SUGGESTION_SOURCE_FALLBACK: _ClassVar[SuggestionSource]
    SUGGESTION_SOURCE_SEED_DESIGN: _ClassVar[SuggestionSource]
    SUGGESTION_SOURCE_OPERATOR: _ClassVar[SuggestionSource]

class SuggestionState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SUGGESTION_STATE_UNSPECIFIED: _ClassVar[SuggestionState]
    SUGGESTION_STATE_PENDING: _ClassVar[SuggestionState]
    SUGGESTION_STATE_MEASURED: _ClassVar[SuggestionState]
    SUGGESTION_STATE_RELEASED: _ClassVar[SuggestionState]
    SUGGESTION_STATE_EXPIRED: _ClassVar[SuggestionState]

class StopCause(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    STOP_CAUSE_UNSPECIFIED: _ClassVar[StopCause]
    STOP_CAUSE_BUDGET_PROBES: _ClassVar[StopCause]
    STOP_CAUSE_BUDGET_SECONDS: _ClassVar[StopCause]
    STOP_CAUSE_BUDGET_DOSE: _ClassVar[StopCause]
    STOP_CAUSE_NO_CANDIDATES: _ClassVar[StopCause]
    STOP_CAUSE_PAUSED: _ClassVar[StopCause]
    STOP_CAUSE_STOPPED: _ClassVar[StopCause]
    STOP_CAUSE_ABORTED: _ClassVar[StopCause]
    STOP_CAUSE_RATE: _ClassVar[StopCause]
    STOP_CAUSE_MAX_STEP: _ClassVar[StopCause]

class ObservationStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OBSERVATION_STATUS_UNSPECIFIED: _ClassVar[ObservationStatus]
    OBSERVATION_STATUS_COMPLETE: _ClassVar[ObservationStatus]
    OBSERVATION_STATUS_PARTIAL: _ClassVar[ObservationStatus]
    OBSERVATION_STATUS_FAILED: _ClassVar[ObservationStatus]
    OBSERVATION_STATUS_INFEASIBLE: _ClassVar[ObservationStatus]

class ScoreState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SCORE_STATE_UNSPECIFIED: _ClassVar[ScoreState]
    SCORE_STATE_PENDING: _ClassVar[ScoreState]
    SCORE_STATE_SCORED: _ClassVar[ScoreState]
    SCORE_STATE_FAILED: _ClassVar[ScoreState]
    SCORE_STATE_NONE: _ClassVar[ScoreState]
    SCORE_STATE_RETRACTED: _ClassVar[ScoreState]

class MapKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MAP_KIND_UNSPECIFIED: _ClassVar[MapKind]
    MAP_KIND_MEAN: _ClassVar[MapKind]
    MAP_KIND_STD: _ClassVar[MapKind]
    MAP_KIND_ACQUISITION: _ClassVar[MapKind]
    MAP_KIND_PRIOR: _ClassVar[MapKind]
    MAP_KIND_PREDICTIVE_STD: _ClassVar[MapKind]
    MAP_KIND_NOVELTY: _ClassVar[MapKind]
    MAP_KIND_THEORY: _ClassVar[MapKind]
    MAP_KIND_THEORY_STD: _ClassVar[MapKind]

class PluginKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PLUGIN_KIND_UNSPECIFIED: _ClassVar[PluginKind]
    PLUGIN_KIND_SCALARIZER: _ClassVar[PluginKind]
    PLUGIN_KIND_PLANNER: _ClassVar[PluginKind]
    PLUGIN_KIND_THEORY: _ClassVar[PluginKind]

class TheoryJobState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    THEORY_JOB_STATE_UNSPECIFIED: _ClassVar[TheoryJobState]
    THEORY_JOB_STATE_QUEUED: _ClassVar[TheoryJobState]
    THEORY_JOB_STATE_RUNNING: _ClassVar[TheoryJobState]
    THEORY_JOB_STATE_SUCCEEDED: _ClassVar[TheoryJobState]
    THEORY_JOB_STATE_FAILED: _ClassVar[TheoryJobState]
    THEORY_JOB_STATE_CANCELLED: _ClassVar[TheoryJobState]

class EvidenceState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    EVIDENCE_STATE_UNSPECIFIED: _ClassVar[EvidenceState]
    EVIDENCE_STATE_APPLIED: _ClassVar[EvidenceState]
    EVIDENCE_STATE_RETRACTED: _ClassVar[EvidenceState]
D_TYPE_UNSPECIFIED: DType
D_TYPE_UINT8: DType
D_TYPE_UINT16: DType
D_TYPE_UINT32: DType
D_TYPE_INT16: DType
D_TYPE_INT32: DType
D_TYPE_INT64: DType
D_TYPE_FLOAT32: DType
D_TYPE_FLOAT64: DType
D_TYPE_BOOL: DType
VALUE_KIND_UNSPECIFIED: ValueKind
VALUE_KIND_COUNTS: ValueKind
VALUE_KIND_CONTINUOUS: ValueKind
CANDIDATE_KIND_UNSPECIFIED: CandidateKind
CANDIDATE_KIND_PIXELS: CandidateKind
CANDIDATE_KIND_BOX: CandidateKind
CANDIDATE_KIND_PATCHES: CandidateKind
CAMPAIGN_STATUS_UNSPECIFIED: CampaignStatus
CAMPAIGN_STATUS_RUNNING: CampaignStatus
CAMPAIGN_STATUS_PAUSED: CampaignStatus
CAMPAIGN_STATUS_STOPPED: CampaignStatus
CAMPAIGN_STATUS_ABORTED: CampaignStatus
CONTROL_ACTION_UNSPECIFIED: ControlAction
CONTROL_ACTION_PAUSE: ControlAction
CONTROL_ACTION_PAUSE_IMMEDIATE: ControlAction
CONTROL_ACTION_RESUME: ControlAction
CONTROL_ACTION_STOP: ControlAction
CONTROL_ACTION_ABORT: ControlAction
SUGGESTION_SOURCE_UNSPECIFIED: SuggestionSource
SUGGESTION_SOURCE_PLANNER: SuggestionSource
SUGGESTION_SOURCE_PREFETCH: SuggestionSource
SUGGESTION_SOURCE_FALLBACK: SuggestionSource
SUGGESTION_SOURCE_SEED_DESIGN: SuggestionSource
SUGGESTION_SOURCE_OPERATOR: SuggestionSource
SUGGESTION_STATE_UNSPECIFIED: SuggestionState
SUGGESTION_STATE_PENDING: SuggestionState
SUGGESTION_STATE_MEASURED: SuggestionState
SUGGESTION_STATE_RELEASED: SuggestionState
SUGGESTION_STATE_EXPIRED: SuggestionState
STOP_CAUSE_UNSPECIFIED: StopCause
STOP_CAUSE_BUDGET_PROBES: StopCause
STOP_CAUSE_BUDGET_SECONDS: StopCause
STOP_CAUSE_BUDGET_DOSE: StopCause
STOP_CAUSE_NO_CANDIDATES: StopCause
STOP_CAUSE_PAUSED: StopCause
STOP_CAUSE_STOPPED: StopCause
STOP_CAUSE_ABORTED: StopCause
STOP_CAUSE_RATE: StopCause
STOP_CAUSE_MAX_STEP: StopCause
OBSERVATION_STATUS_UNSPECIFIED: ObservationStatus
OBSERVATION_STATUS_COMPLETE: ObservationStatus
OBSERVATION_STATUS_PARTIAL: ObservationStatus
OBSERVATION_STATUS_FAILED: ObservationStatus
OBSERVATION_STATUS_INFEASIBLE: ObservationStatus
SCORE_STATE_UNSPECIFIED: ScoreState
SCORE_STATE_PENDING: ScoreState
SCORE_STATE_SCORED: ScoreState
SCORE_STATE_FAILED: ScoreState
SCORE_STATE_NONE: ScoreState
SCORE_STATE_RETRACTED: ScoreState
MAP_KIND_UNSPECIFIED: MapKind
MAP_KIND_MEAN: MapKind
MAP_KIND_STD: MapKind
MAP_KIND_ACQUISITION: MapKind
MAP_KIND_PRIOR: MapKind
MAP_KIND_PREDICTIVE_STD: MapKind
MAP_KIND_NOVELTY: MapKind
MAP_KIND_THEORY: MapKind
MAP_KIND_THEORY_STD: MapKind
PLUGIN_KIND_UNSPECIFIED: PluginKind
PLUGIN_KIND_SCALARIZER: PluginKind
PLUGIN_KIND_PLANNER: PluginKind
PLUGIN_KIND_THEORY: PluginKind
THEORY_JOB_STATE_UNSPECIFIED: TheoryJobState
THEORY_JOB_STATE_QUEUED: TheoryJobState
THEORY_JOB_STATE_RUNNING: TheoryJobState
THEORY_JOB_STATE_SUCCEEDED: TheoryJobState
THEORY_JOB_STATE_FAILED: TheoryJobState
THEORY_JOB_STATE_CANCELLED: TheoryJobState
EVIDENCE_STATE_UNSPECIFIED: EvidenceState
EVIDENCE_STATE_APPLIED: EvidenceState
EVIDENCE_STATE_RETRACTED: EvidenceState

class StateVersion(_message.Message):
    __slots__ = ("event_seq", "event_hash", "data_version", "model_version")
    EVENT_SEQ_FIELD_NUMBER: _ClassVar[int]
    EVENT_HASH_FIELD_NUMBER: _ClassVar[int]
    DATA_VERSION_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    event_seq: int
    event_hash: str
    data_version: int
    model_version: int
    def __init__(self, event_seq: _Optional[int] = ..., event_hash: _Optional[str] = ..., data_version: _Optional[int] = ..., model_version: _Optional[int] = ...) -> None: ...

class Tensor(_message.Message):
    __slots__ = ("dtype", "shape", "dims", "unit", "data", "blob", "value_kind")
    DTYPE_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    DIMS_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    BLOB_FIELD_NUMBER: _ClassVar[int]
    VALUE_KIND_FIELD_NUMBER: _ClassVar[int]
    dtype: DType
    shape: _containers.RepeatedScalarFieldContainer[int]
    dims: _containers.RepeatedScalarFieldContainer[str]
    unit: str
    data: bytes
    blob: str
    value_kind: ValueKind
    def __init__(self, dtype: _Optional[_Union[DType, str]] = ..., shape: _Optional[_Iterable[int]] = ..., dims: _Optional[_Iterable[str]] = ..., unit: _Optional[str] = ..., data: _Optional[bytes] = ..., blob: _Optional[str] = ..., value_kind: _Optional[_Union[ValueKind, str]] = ...) -> None: ...

class Axis(_message.Message):
    __slots__ = ("dim", "quantity", "unit", "values", "start", "step")
    DIM_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    dim: str
    quantity: str
    unit: str
    values: _containers.RepeatedScalarFieldContainer[float]
    start: float
    step: float
    def __init__(self, dim: _Optional[str] = ..., quantity: _Optional[str] = ..., unit: _Optional[str] = ..., values: _Optional[_Iterable[float]] = ..., start: _Optional[float] = ..., step: _Optional[float] = ...) -> None: ...

class Position(_message.Message):
    __slots__ = ("frame", "y", "x")
    FRAME_FIELD_NUMBER: _ClassVar[int]
    Y_FIELD_NUMBER: _ClassVar[int]
    X_FIELD_NUMBER: _ClassVar[int]
    frame: str
    y: float
    x: float
    def __init__(self, frame: _Optional[str] = ..., y: _Optional[float] = ..., x: _Optional[float] = ...) -> None: ...

class Length(_message.Message):
    __slots__ = ("value", "unit")
    VALUE_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    value: float
    unit: str
    def __init__(self, value: _Optional[float] = ..., unit: _Optional[str] = ...) -> None: ...

class Polygon(_message.Message):
    __slots__ = ("y", "x")
    Y_FIELD_NUMBER: _ClassVar[int]
    X_FIELD_NUMBER: _ClassVar[int]
    y: _containers.RepeatedScalarFieldContainer[float]
    x: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, y: _Optional[_Iterable[float]] = ..., x: _Optional[_Iterable[float]] = ...) -> None: ...

class Setting(_message.Message):
    __slots__ = ("name", "value", "unit")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    name: str
    value: float
    unit: str
    def __init__(self, name: _Optional[str] = ..., value: _Optional[float] = ..., unit: _Optional[str] = ...) -> None: ...

class ScalarizerSpec(_message.Message):
    __slots__ = ("name", "params_json")
    NAME_FIELD_NUMBER: _ClassVar[int]
    PARAMS_JSON_FIELD_NUMBER: _ClassVar[int]
    name: str
    params_json: str
    def __init__(self, name: _Optional[str] = ..., params_json: _Optional[str] = ...) -> None: ...

class PolicySpec(_message.Message):
    __slots__ = ("name", "params_json")
    NAME_FIELD_NUMBER: _ClassVar[int]
    PARAMS_JSON_FIELD_NUMBER: _ClassVar[int]
    name: str
    params_json: str
    def __init__(self, name: _Optional[str] = ..., params_json: _Optional[str] = ...) -> None: ...

class SeedDesign(_message.Message):
    __slots__ = ("name", "count", "positions")
    NAME_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    POSITIONS_FIELD_NUMBER: _ClassVar[int]
    name: str
    count: int
    positions: _containers.RepeatedCompositeFieldContainer[Position]
    def __init__(self, name: _Optional[str] = ..., count: _Optional[int] = ..., positions: _Optional[_Iterable[_Union[Position, _Mapping]]] = ...) -> None: ...

class Budget(_message.Message):
    __slots__ = ("probes", "seconds", "dose", "core_hours")
    PROBES_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    DOSE_FIELD_NUMBER: _ClassVar[int]
    CORE_HOURS_FIELD_NUMBER: _ClassVar[int]
    probes: int
    seconds: float
    dose: float
    core_hours: float
    def __init__(self, probes: _Optional[int] = ..., seconds: _Optional[float] = ..., dose: _Optional[float] = ..., core_hours: _Optional[float] = ...) -> None: ...

class Limits(_message.Message):
    __slots__ = ("allowed", "forbidden", "max_step", "dose_per_area", "max_rate_hz", "border")
    ALLOWED_FIELD_NUMBER: _ClassVar[int]
    FORBIDDEN_FIELD_NUMBER: _ClassVar[int]
    MAX_STEP_FIELD_NUMBER: _ClassVar[int]
    DOSE_PER_AREA_FIELD_NUMBER: _ClassVar[int]
    MAX_RATE_HZ_FIELD_NUMBER: _ClassVar[int]
    BORDER_FIELD_NUMBER: _ClassVar[int]
    allowed: _containers.RepeatedCompositeFieldContainer[Polygon]
    forbidden: _containers.RepeatedCompositeFieldContainer[Polygon]
    max_step: float
    dose_per_area: float
    max_rate_hz: float
    border: float
    def __init__(self, allowed: _Optional[_Iterable[_Union[Polygon, _Mapping]]] = ..., forbidden: _Optional[_Iterable[_Union[Polygon, _Mapping]]] = ..., max_step: _Optional[float] = ..., dose_per_area: _Optional[float] = ..., max_rate_hz: _Optional[float] = ..., border: _Optional[float] = ...) -> None: ...

class Parameter(_message.Message):
    __slots__ = ("name", "unit", "low", "high", "levels")
    NAME_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    LOW_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    LEVELS_FIELD_NUMBER: _ClassVar[int]
    name: str
    unit: str
    low: float
    high: float
    levels: int
    def __init__(self, name: _Optional[str] = ..., unit: _Optional[str] = ..., low: _Optional[float] = ..., high: _Optional[float] = ..., levels: _Optional[int] = ...) -> None: ...

class CandidateSpace(_message.Message):
    __slots__ = ("kind", "parameters", "stride")
    KIND_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    STRIDE_FIELD_NUMBER: _ClassVar[int]
    kind: CandidateKind
    parameters: _containers.RepeatedCompositeFieldContainer[Parameter]
    stride: int
    def __init__(self, kind: _Optional[_Union[CandidateKind, str]] = ..., parameters: _Optional[_Iterable[_Union[Parameter, _Mapping]]] = ..., stride: _Optional[int] = ...) -> None: ...

class Objective(_message.Message):
    __slots__ = ("scalarizer", "is_minimizing")
    SCALARIZER_FIELD_NUMBER: _ClassVar[int]
    IS_MINIMIZING_FIELD_NUMBER: _ClassVar[int]
    scalarizer: ScalarizerSpec
    is_minimizing: bool
    def __init__(self, scalarizer: _Optional[_Union[ScalarizerSpec, _Mapping]] = ..., is_minimizing: bool = ...) -> None: ...

class StopRule(_message.Message):
    __slots__ = ("name", "bound")
    NAME_FIELD_NUMBER: _ClassVar[int]
    BOUND_FIELD_NUMBER: _ClassVar[int]
    name: str
    bound: float
    def __init__(self, name: _Optional[str] = ..., bound: _Optional[float] = ...) -> None: ...

class MotionCost(_message.Message):
    __slots__ = ("settle_s", "dwell_s", "diagonals_per_s")
    SETTLE_S_FIELD_NUMBER: _ClassVar[int]
    DWELL_S_FIELD_NUMBER: _ClassVar[int]
    DIAGONALS_PER_S_FIELD_NUMBER: _ClassVar[int]
    settle_s: float
    dwell_s: float
    diagonals_per_s: float
    def __init__(self, settle_s: _Optional[float] = ..., dwell_s: _Optional[float] = ..., diagonals_per_s: _Optional[float] = ...) -> None: ...

class TheorySpec(_message.Message):
    __slots__ = ("engine", "settings_json", "quantity", "window_m", "deadline_s", "lease_s", "max_attempts", "max_running", "is_automatic_disabled")
    ENGINE_FIELD_NUMBER: _ClassVar[int]
    SETTINGS_JSON_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    WINDOW_M_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_S_FIELD_NUMBER: _ClassVar[int]
    LEASE_S_FIELD_NUMBER: _ClassVar[int]
    MAX_ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    MAX_RUNNING_FIELD_NUMBER: _ClassVar[int]
    IS_AUTOMATIC_DISABLED_FIELD_NUMBER: _ClassVar[int]
    engine: str
    settings_json: str
    quantity: str
    window_m: float
    deadline_s: float
    lease_s: float
    max_attempts: int
    max_running: int
    is_automatic_disabled: bool
    def __init__(self, engine: _Optional[str] = ..., settings_json: _Optional[str] = ..., quantity: _Optional[str] = ..., window_m: _Optional[float] = ..., deadline_s: _Optional[float] = ..., lease_s: _Optional[float] = ..., max_attempts: _Optional[int] = ..., max_running: _Optional[int] = ..., is_automatic_disabled: bool = ...) -> None: ...

class TransferSpec(_message.Message):
    __slots__ = ("model", "blob")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    BLOB_FIELD_NUMBER: _ClassVar[int]
    model: str
    blob: str
    def __init__(self, model: _Optional[str] = ..., blob: _Optional[str] = ...) -> None: ...

class CampaignSpec(_message.Message):
    __slots__ = ("title", "sample", "instrument", "operator", "scalarizer", "policy", "seed_design", "budget", "limits", "candidates", "seed", "lease_s", "is_minimizing", "dose_unit", "metadata_json", "is_deep_member_disabled", "members", "objectives", "stop_rules", "motion", "theory", "transfer")
    TITLE_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_FIELD_NUMBER: _ClassVar[int]
    INSTRUMENT_FIELD_NUMBER: _ClassVar[int]
    OPERATOR_FIELD_NUMBER: _ClassVar[int]
    SCALARIZER_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    SEED_DESIGN_FIELD_NUMBER: _ClassVar[int]
    BUDGET_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    CANDIDATES_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    LEASE_S_FIELD_NUMBER: _ClassVar[int]
    IS_MINIMIZING_FIELD_NUMBER: _ClassVar[int]
    DOSE_UNIT_FIELD_NUMBER: _ClassVar[int]
    METADATA_JSON_FIELD_NUMBER: _ClassVar[int]
    IS_DEEP_MEMBER_DISABLED_FIELD_NUMBER: _ClassVar[int]
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    OBJECTIVES_FIELD_NUMBER: _ClassVar[int]
    STOP_RULES_FIELD_NUMBER: _ClassVar[int]
    MOTION_FIELD_NUMBER: _ClassVar[int]
    THEORY_FIELD_NUMBER: _ClassVar[int]
    TRANSFER_FIELD_NUMBER: _ClassVar[int]
    title: str
    sample: str
    instrument: str
    operator: str
    scalarizer: ScalarizerSpec
    policy: PolicySpec
    seed_design: SeedDesign
    budget: Budget
    limits: Limits
    candidates: CandidateSpace
    seed: int
    lease_s: float
    is_minimizing: bool
    dose_unit: str
    metadata_json: str
    is_deep_member_disabled: bool
    members: _containers.RepeatedScalarFieldContainer[str]
    objectives: _containers.RepeatedCompositeFieldContainer[Objective]
    stop_rules: _containers.RepeatedCompositeFieldContainer[StopRule]
    motion: MotionCost
    theory: TheorySpec
    transfer: TransferSpec
    def __init__(self, title: _Optional[str] = ..., sample: _Optional[str] = ..., instrument: _Optional[str] = ..., operator: _Optional[str] = ..., scalarizer: _Optional[_Union[ScalarizerSpec, _Mapping]] = ..., policy: _Optional[_Union[PolicySpec, _Mapping]] = ..., seed_design: _Optional[_Union[SeedDesign, _Mapping]] = ..., budget: _Optional[_Union[Budget, _Mapping]] = ..., limits: _Optional[_Union[Limits, _Mapping]] = ..., candidates: _Optional[_Union[CandidateSpace, _Mapping]] = ..., seed: _Optional[int] = ..., lease_s: _Optional[float] = ..., is_minimizing: bool = ..., dose_unit: _Optional[str] = ..., metadata_json: _Optional[str] = ..., is_deep_member_disabled: bool = ..., members: _Optional[_Iterable[str]] = ..., objectives: _Optional[_Iterable[_Union[Objective, _Mapping]]] = ..., stop_rules: _Optional[_Iterable[_Union[StopRule, _Mapping]]] = ..., motion: _Optional[_Union[MotionCost, _Mapping]] = ..., theory: _Optional[_Union[TheorySpec, _Mapping]] = ..., transfer: _Optional[_Union[TransferSpec, _Mapping]] = ...) -> None: ...

class BudgetUse(_message.Message):
    __slots__ = ("probes_spent", "probes_reserved", "seconds_spent", "seconds_reserved", "dose_spent", "dose_reserved", "core_hours_spent", "core_hours_reserved")
    PROBES_SPENT_FIELD_NUMBER: _ClassVar[int]
    PROBES_RESERVED_FIELD_NUMBER: _ClassVar[int]
    SECONDS_SPENT_FIELD_NUMBER: _ClassVar[int]
    SECONDS_RESERVED_FIELD_NUMBER: _ClassVar[int]
    DOSE_SPENT_FIELD_NUMBER: _ClassVar[int]
    DOSE_RESERVED_FIELD_NUMBER: _ClassVar[int]
    CORE_HOURS_SPENT_FIELD_NUMBER: _ClassVar[int]
    CORE_HOURS_RESERVED_FIELD_NUMBER: _ClassVar[int]
    probes_spent: int
    probes_reserved: int
    seconds_spent: float
    seconds_reserved: float
    dose_spent: float
    dose_reserved: float
    core_hours_spent: float
    core_hours_reserved: float
    def __init__(self, probes_spent: _Optional[int] = ..., probes_reserved: _Optional[int] = ..., seconds_spent: _Optional[float] = ..., seconds_reserved: _Optional[float] = ..., dose_spent: _Optional[float] = ..., dose_reserved: _Optional[float] = ..., core_hours_spent: _Optional[float] = ..., core_hours_reserved: _Optional[float] = ...) -> None: ...

class Campaign(_message.Message):
    __slots__ = ("name", "spec", "status", "etag", "use", "n_observations", "n_pending", "n_candidates", "frames", "version", "created_time", "status_reason", "best", "points")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    USE_FIELD_NUMBER: _ClassVar[int]
    N_OBSERVATIONS_FIELD_NUMBER: _ClassVar[int]
    N_PENDING_FIELD_NUMBER: _ClassVar[int]
    N_CANDIDATES_FIELD_NUMBER: _ClassVar[int]
    FRAMES_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CREATED_TIME_FIELD_NUMBER: _ClassVar[int]
    STATUS_REASON_FIELD_NUMBER: _ClassVar[int]
    BEST_FIELD_NUMBER: _ClassVar[int]
    POINTS_FIELD_NUMBER: _ClassVar[int]
    name: str
    spec: CampaignSpec
    status: CampaignStatus
    etag: str
    use: BudgetUse
    n_observations: int
    n_pending: int
    n_candidates: int
    frames: _containers.RepeatedCompositeFieldContainer[Frame]
    version: StateVersion
    created_time: float
    status_reason: str
    best: Observation
    points: _containers.RepeatedCompositeFieldContainer[OperatorPoint]
    def __init__(self, name: _Optional[str] = ..., spec: _Optional[_Union[CampaignSpec, _Mapping]] = ..., status: _Optional[_Union[CampaignStatus, str]] = ..., etag: _Optional[str] = ..., use: _Optional[_Union[BudgetUse, _Mapping]] = ..., n_observations: _Optional[int] = ..., n_pending: _Optional[int] = ..., n_candidates: _Optional[int] = ..., frames: _Optional[_Iterable[_Union[Frame, _Mapping]]] = ..., version: _Optional[_Union[StateVersion, _Mapping]] = ..., created_time: _Optional[float] = ..., status_reason: _Optional[str] = ..., best: _Optional[_Union[Observation, _Mapping]] = ..., points: _Optional[_Iterable[_Union[OperatorPoint, _Mapping]]] = ...) -> None: ...

class CreateCampaignRequest(_message.Message):
    __slots__ = ("request_id", "campaign_id", "spec")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    CAMPAIGN_ID_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    campaign_id: str
    spec: CampaignSpec
    def __init__(self, request_id: _Optional[str] = ..., campaign_id: _Optional[str] = ..., spec: _Optional[_Union[CampaignSpec, _Mapping]] = ...) -> None: ...

class GetCampaignRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class ListCampaignsRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListCampaignsReply(_message.Message):
    __slots__ = ("campaigns", "next_page_token")
    CAMPAIGNS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    campaigns: _containers.RepeatedCompositeFieldContainer[Campaign]
    next_page_token: str
    def __init__(self, campaigns: _Optional[_Iterable[_Union[Campaign, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class UpdateCampaignRequest(_message.Message):
    __slots__ = ("request_id", "name", "spec", "update_mask", "etag", "reason")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    UPDATE_MASK_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    name: str
    spec: CampaignSpec
    update_mask: _containers.RepeatedScalarFieldContainer[str]
    etag: str
    reason: str
    def __init__(self, request_id: _Optional[str] = ..., name: _Optional[str] = ..., spec: _Optional[_Union[CampaignSpec, _Mapping]] = ..., update_mask: _Optional[_Iterable[str]] = ..., etag: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class ControlCampaignRequest(_message.Message):
    __slots__ = ("request_id", "name", "action", "reason")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    name: str
    action: ControlAction
    reason: str
    def __init__(self, request_id: _Optional[str] = ..., name: _Optional[str] = ..., action: _Optional[_Union[ControlAction, str]] = ..., reason: _Optional[str] = ...) -> None: ...

class Frame(_message.Message):
    __slots__ = ("name", "image", "pixel_size", "rotation_deg", "mask", "revision", "affine", "position_std", "patches", "positions", "height", "width", "added_time")
    NAME_FIELD_NUMBER: _ClassVar[int]
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    PIXEL_SIZE_FIELD_NUMBER: _ClassVar[int]
    ROTATION_DEG_FIELD_NUMBER: _ClassVar[int]
    MASK_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    AFFINE_FIELD_NUMBER: _ClassVar[int]
    POSITION_STD_FIELD_NUMBER: _ClassVar[int]
    PATCHES_FIELD_NUMBER: _ClassVar[int]
    POSITIONS_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    ADDED_TIME_FIELD_NUMBER: _ClassVar[int]
    name: str
    image: Tensor
    pixel_size: Length
    rotation_deg: float
    mask: Tensor
    revision: int
    affine: _containers.RepeatedScalarFieldContainer[float]
    position_std: float
    patches: Tensor
    positions: _containers.RepeatedCompositeFieldContainer[Position]
    height: int
    width: int
    added_time: float
    def __init__(self, name: _Optional[str] = ..., image: _Optional[_Union[Tensor, _Mapping]] = ..., pixel_size: _Optional[_Union[Length, _Mapping]] = ..., rotation_deg: _Optional[float] = ..., mask: _Optional[_Union[Tensor, _Mapping]] = ..., revision: _Optional[int] = ..., affine: _Optional[_Iterable[float]] = ..., position_std: _Optional[float] = ..., patches: _Optional[_Union[Tensor, _Mapping]] = ..., positions: _Optional[_Iterable[_Union[Position, _Mapping]]] = ..., height: _Optional[int] = ..., width: _Optional[int] = ..., added_time: _Optional[float] = ...) -> None: ...

class AddFrameRequest(_message.Message):
    __slots__ = ("request_id", "campaign", "frame_id", "frame")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    CAMPAIGN_FIELD_NUMBER: _ClassVar[int]
    FRAME_ID_FIELD_NUMBER: _ClassVar[int]
    FRAME_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    campaign: str
    frame_id: str
    frame: Frame
    def __init__(self, request_id: _Optional[str] = ..., campaign: _Optional[str] = ..., frame_id: _Optional[str] = ..., frame: _Optional[_Union[Frame, _Mapping]] = ...) -> None: ...

class UpdateFrameRequest(_message.Message):
    __slots__ = ("request_id", "name", "affine", "covariance", "reason")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    AFFINE_FIELD_NUMBER: _ClassVar[int]
    COVARIANCE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    name: str
    affine: _containers.RepeatedScalarFieldContainer[float]
    covariance: _containers.RepeatedScalarFieldContainer[float]
    reason: str
    def __init__(self, request_id: _Optional[str] = ..., name: _Optional[str] = ..., affine: _Optional[_Iterable[float]] = ..., covariance: _Optional[_Iterable[float]] = ..., reason: _Optional[str] = ...) -> None: ...

class FrameReply(_message.Message):
    __slots__ = ("frame", "version")
    FRAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    frame: Frame
    version: StateVersion
    def __init__(self, frame: _Optional[_Union[Frame, _Mapping]] = ..., version: _Optional[_Union[StateVersion, _Mapping]] = ...) -> None: ...

class Suggestion(_message.Message):
    __slots__ = ("name", "position", "lease_token", "expires_in_s", "source", "mean", "std", "acquisition", "model_version", "data_version", "state", "settings", "candidate", "client_id", "ordinal", "degraded_reasons", "noise_std", "novelty", "policy", "exploit", "explore")
    NAME_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    LEASE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_IN_S_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    MEAN_FIELD_NUMBER: _ClassVar[int]
    STD_FIELD_NUMBER: _ClassVar[int]
    ACQUISITION_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    DATA_VERSION_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    SETTINGS_FIELD_NUMBER: _ClassVar[int]
    CANDIDATE_FIELD_NUMBER: _ClassVar[int]
    CLIENT_ID_FIELD_NUMBER: _ClassVar[int]
    ORDINAL_FIELD_NUMBER: _ClassVar[int]
    DEGRADED_REASONS_FIELD_NUMBER: _ClassVar[int]
    NOISE_STD_FIELD_NUMBER: _ClassVar[int]
    NOVELTY_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    EXPLOIT_FIELD_NUMBER: _ClassVar[int]
    EXPLORE_FIELD_NUMBER: _ClassVar[int]
    name: str
    position: Position
    lease_token: str
    expires_in_s: float
    source: SuggestionSource
    mean: float
    std: float
    acquisition: float
    model_version: int
    data_version: int
    state: SuggestionState
    settings: _containers.RepeatedCompositeFieldContainer[Setting]
    candidate: int
    client_id: str
    ordinal: int
    degraded_reasons: _containers.RepeatedScalarFieldContainer[str]
    noise_std: float
    novelty: float
    policy: str
    exploit: float
    explore: float
    def __init__(self, name: _Optional[str] = ..., position: _Optional[_Union[Position, _Mapping]] = ..., lease_token: _Optional[str] = ..., expires_in_s: _Optional[float] = ..., source: _Optional[_Union[SuggestionSource, str]] = ..., mean: _Optional[float] = ..., std: _Optional[float] = ..., acquisition: _Optional[float] = ..., model_version: _Optional[int] = ..., data_version: _Optional[int] = ..., state: _Optional[_Union[SuggestionState, str]] = ..., settings: _Optional[_Iterable[_Union[Setting, _Mapping]]] = ..., candidate: _Optional[int] = ..., client_id: _Optional[str] = ..., ordinal: _Optional[int] = ..., degraded_reasons: _Optional[_Iterable[str]] = ..., noise_std: _Optional[float] = ..., novelty: _Optional[float] = ..., policy: _Optional[str] = ..., exploit: _Optional[float] = ..., explore: _Optional[float] = ...) -> None: ...

class StopReport(_message.Message):
    __slots__ = ("cause", "message", "retry_after_s", "is_final")
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    RETRY_AFTER_S_FIELD_NUMBER: _ClassVar[int]
    IS_FINAL_FIELD_NUMBER: _ClassVar[int]
    cause: StopCause
    message: str
    retry_after_s: float
    is_final: bool
    def __init__(self, cause: _Optional[_Union[StopCause, str]] = ..., message: _Optional[str] = ..., retry_after_s: _Optional[float] = ..., is_final: bool = ...) -> None: ...

class Calibration(_message.Message):
    __slots__ = ("n", "coverage95", "mean_z2", "is_alarmed", "pit_counts", "pit_ks", "is_deep_shut_off", "coverage50")
    N_FIELD_NUMBER: _ClassVar[int]
    COVERAGE95_FIELD_NUMBER: _ClassVar[int]
    MEAN_Z2_FIELD_NUMBER: _ClassVar[int]
    IS_ALARMED_FIELD_NUMBER: _ClassVar[int]
    PIT_COUNTS_FIELD_NUMBER: _ClassVar[int]
    PIT_KS_FIELD_NUMBER: _ClassVar[int]
    IS_DEEP_SHUT_OFF_FIELD_NUMBER: _ClassVar[int]
    COVERAGE50_FIELD_NUMBER: _ClassVar[int]
    n: int
    coverage95: float
    mean_z2: float
    is_alarmed: bool
    pit_counts: _containers.RepeatedScalarFieldContainer[int]
    pit_ks: float
    is_deep_shut_off: bool
    coverage50: float
    def __init__(self, n: _Optional[int] = ..., coverage95: _Optional[float] = ..., mean_z2: _Optional[float] = ..., is_alarmed: bool = ..., pit_counts: _Optional[_Iterable[int]] = ..., pit_ks: _Optional[float] = ..., is_deep_shut_off: bool = ..., coverage50: _Optional[float] = ...) -> None: ...

class TheoryInfluence(_message.Message):
    __slots__ = ("weight", "skill", "n_results", "slopes")
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    SKILL_FIELD_NUMBER: _ClassVar[int]
    N_RESULTS_FIELD_NUMBER: _ClassVar[int]
    SLOPES_FIELD_NUMBER: _ClassVar[int]
    weight: float
    skill: float
    n_results: int
    slopes: _containers.RepeatedCompositeFieldContainer[TheorySlope]
    def __init__(self, weight: _Optional[float] = ..., skill: _Optional[float] = ..., n_results: _Optional[int] = ..., slopes: _Optional[_Iterable[_Union[TheorySlope, _Mapping]]] = ...) -> None: ...

class TheorySlope(_message.Message):
    __slots__ = ("engine", "slope", "slope_std", "noise_std")
    ENGINE_FIELD_NUMBER: _ClassVar[int]
    SLOPE_FIELD_NUMBER: _ClassVar[int]
    SLOPE_STD_FIELD_NUMBER: _ClassVar[int]
    NOISE_STD_FIELD_NUMBER: _ClassVar[int]
    engine: str
    slope: float
    slope_std: float
    noise_std: float
    def __init__(self, engine: _Optional[str] = ..., slope: _Optional[float] = ..., slope_std: _Optional[float] = ..., noise_std: _Optional[float] = ...) -> None: ...

class StopAdvice(_message.Message):
    __slots__ = ("rule", "is_met", "value", "bound", "unit", "message")
    RULE_FIELD_NUMBER: _ClassVar[int]
    IS_MET_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    BOUND_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    rule: str
    is_met: bool
    value: float
    bound: float
    unit: str
    message: str
    def __init__(self, rule: _Optional[str] = ..., is_met: bool = ..., value: _Optional[float] = ..., bound: _Optional[float] = ..., unit: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...

class SuggestRequest(_message.Message):
    __slots__ = ("request_id", "campaign", "count", "client_id", "compute_budget_s", "last_seen")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    CAMPAIGN_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    CLIENT_ID_FIELD_NUMBER: _ClassVar[int]
    COMPUTE_BUDGET_S_FIELD_NUMBER: _ClassVar[int]
    LAST_SEEN_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    campaign: str
    count: int
    client_id: str
    compute_budget_s: float
    last_seen: StateVersion
    def __init__(self, request_id: _Optional[str] = ..., campaign: _Optional[str] = ..., count: _Optional[int] = ..., client_id: _Optional[str] = ..., compute_budget_s: _Optional[float] = ..., last_seen: _Optional[_Union[StateVersion, _Mapping]] = ...) -> None: ...

class SuggestReply(_message.Message):
    __slots__ = ("suggestions", "stop", "version", "calibration", "degraded_reasons", "timing", "advice", "theory")
    SUGGESTIONS_FIELD_NUMBER: _ClassVar[int]
    STOP_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CALIBRATION_FIELD_NUMBER: _ClassVar[int]
    DEGRADED_REASONS_FIELD_NUMBER: _ClassVar[int]
    TIMING_FIELD_NUMBER: _ClassVar[int]
    ADVICE_FIELD_NUMBER: _ClassVar[int]
    THEORY_FIELD_NUMBER: _ClassVar[int]
    suggestions: _containers.RepeatedCompositeFieldContainer[Suggestion]
    stop: StopReport
    version: StateVersion
    calibration: Calibration
    degraded_reasons: _containers.RepeatedScalarFieldContainer[str]
    timing: Timing
    advice: _containers.RepeatedCompositeFieldContainer[StopAdvice]
    theory: TheoryInfluence
    def __init__(self, suggestions: _Optional[_Iterable[_Union[Suggestion, _Mapping]]] = ..., stop: _Optional[_Union[StopReport, _Mapping]] = ..., version: _Optional[_Union[StateVersion, _Mapping]] = ..., calibration: _Optional[_Union[Calibration, _Mapping]] = ..., degraded_reasons: _Optional[_Iterable[str]] = ..., timing: _Optional[_Union[Timing, _Mapping]] = ..., advice: _Optional[_Iterable[_Union[StopAdvice, _Mapping]]] = ..., theory: _Optional[_Union[TheoryInfluence, _Mapping]] = ...) -> None: ...

class Timing(_message.Message):
    __slots__ = ("commit_s", "compute_s", "total_s")
    COMMIT_S_FIELD_NUMBER: _ClassVar[int]
    COMPUTE_S_FIELD_NUMBER: _ClassVar[int]
    TOTAL_S_FIELD_NUMBER: _ClassVar[int]
    commit_s: float
    compute_s: float
    total_s: float
    def __init__(self, commit_s: _Optional[float] = ..., compute_s: _Optional[float] = ..., total_s: _Optional[float] = ...) -> None: ...

class RenewLeasesRequest(_message.Message):
    __slots__ = ("request_id", "campaign", "client_id", "names", "lease_tokens")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    CAMPAIGN_FIELD_NUMBER: _ClassVar[int]
    CLIENT_ID_FIELD_NUMBER: _ClassVar[int]
    NAMES_FIELD_NUMBER: _ClassVar[int]
    LEASE_TOKENS_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    campaign: str
    client_id: str
    names: _containers.RepeatedScalarFieldContainer[str]
    lease_tokens: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, request_id: _Optional[str] = ..., campaign: _Optional[str] = ..., client_id: _Optional[str] = ..., names: _Optional[_Iterable[str]] = ..., lease_tokens: _Optional[_Iterable[str]] = ...) -> None: ...

class RenewLeasesReply(_message.Message):
    __slots__ = ("suggestions", "status", "version")
    SUGGESTIONS_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    suggestions: _containers.RepeatedCompositeFieldContainer[Suggestion]
    status: CampaignStatus
    version: StateVersion
    def __init__(self, suggestions: _Optional[_Iterable[_Union[Suggestion, _Mapping]]] = ..., status: _Optional[_Union[CampaignStatus, str]] = ..., version: _Optional[_Union[StateVersion, _Mapping]] = ...) -> None: ...

class ReleaseSuggestionsRequest(_message.Message):
    __slots__ = ("request_id", "campaign", "names", "lease_tokens", "reason")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    CAMPAIGN_FIELD_NUMBER: _ClassVar[int]
    NAMES_FIELD_NUMBER: _ClassVar[int]
    LEASE_TOKENS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    campaign: str
    names: _containers.RepeatedScalarFieldContainer[str]
    lease_tokens: _containers.RepeatedScalarFieldContainer[str]
    reason: str
    def __init__(self, request_id: _Optional[str] = ..., campaign: _Optional[str] = ..., names: _Optional[_Iterable[str]] = ..., lease_tokens: _Optional[_Iterable[str]] = ..., reason: _Optional[str] = ...) -> None: ...

class ReleaseSuggestionsReply(_message.Message):
    __slots__ = ("version",)
    VERSION_FIELD_NUMBER: _ClassVar[int]
    version: StateVersion
    def __init__(self, version: _Optional[_Union[StateVersion, _Mapping]] = ...) -> None: ...

class OperatorPoint(_message.Message):
    __slots__ = ("name", "position", "note", "is_urgent", "candidate", "suggestion", "proposed_time")
    NAME_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    IS_URGENT_FIELD_NUMBER: _ClassVar[int]
    CANDIDATE_FIELD_NUMBER: _ClassVar[int]
    SUGGESTION_FIELD_NUMBER: _ClassVar[int]
    PROPOSED_TIME_FIELD_NUMBER: _ClassVar[int]
    name: str
    position: Position
    note: str
    is_urgent: bool
    candidate: int
    suggestion: str
    proposed_time: float
    def __init__(self, name: _Optional[str] = ..., position: _Optional[_Union[Position, _Mapping]] = ..., note: _Optional[str] = ..., is_urgent: bool = ..., candidate: _Optional[int] = ..., suggestion: _Optional[str] = ..., proposed_time: _Optional[float] = ...) -> None: ...

class ProposePointsRequest(_message.Message):
    __slots__ = ("request_id", "campaign", "positions", "note", "is_urgent")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    CAMPAIGN_FIELD_NUMBER: _ClassVar[int]
    POSITIONS_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    IS_URGENT_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    campaign: str
    positions: _containers.RepeatedCompositeFieldContainer[Position]
    note: str
    is_urgent: bool
    def __init__(self, request_id: _Optional[str] = ..., campaign: _Optional[str] = ..., positions: _Optional[_Iterable[_Union[Position, _Mapping]]] = ..., note: _Optional[str] = ..., is_urgent: bool = ...) -> None: ...

class ProposePointsReply(_message.Message):
    __slots__ = ("points", "version")
    POINTS_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    points: _containers.RepeatedCompositeFieldContainer[OperatorPoint]
    version: StateVersion
    def __init__(self, points: _Optional[_Iterable[_Union[OperatorPoint, _Mapping]]] = ..., version: _Optional[_Union[StateVersion, _Mapping]] = ...) -> None: ...

class WithdrawPointsRequest(_message.Message):
    __slots__ = ("request_id", "campaign", "names", "reason")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    CAMPAIGN_FIELD_NUMBER: _ClassVar[int]
    NAMES_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    campaign: str
    names: _containers.RepeatedScalarFieldContainer[str]
    reason: str
    def __init__(self, request_id: _Optional[str] = ..., campaign: _Optional[str] = ..., names: _Optional[_Iterable[str]] = ..., reason: _Optional[str] = ...) -> None: ...

class WithdrawPointsReply(_message.Message):
    __slots__ = ("version",)
    VERSION_FIELD_NUMBER: _ClassVar[int]
    version: StateVersion
    def __init__(self, version: _Optional[_Union[StateVersion, _Mapping]] = ...) -> None: ...

class ListSuggestionsRequest(_message.Message):
    __slots__ = ("campaign", "page_size", "page_token", "state")
    CAMPAIGN_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    campaign: str
    page_size: int
    page_token: str
    state: SuggestionState
    def __init__(self, campaign: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., state: _Optional[_Union[SuggestionState, str]] = ...) -> None: ...

class ListSuggestionsReply(_message.Message):
    __slots__ = ("suggestions", "next_page_token")
    SUGGESTIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    suggestions: _containers.RepeatedCompositeFieldContainer[Suggestion]
    next_page_token: str
    def __init__(self, suggestions: _Optional[_Iterable[_Union[Suggestion, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class FurtherScore(_message.Message):
    __slots__ = ("scalarizer", "has_value", "value", "variance", "unit", "message")
    SCALARIZER_FIELD_NUMBER: _ClassVar[int]
    HAS_VALUE_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    VARIANCE_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    scalarizer: str
    has_value: bool
    value: float
    variance: float
    unit: str
    message: str
    def __init__(self, scalarizer: _Optional[str] = ..., has_value: bool = ..., value: _Optional[float] = ..., variance: _Optional[float] = ..., unit: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...

class Observation(_message.Message):
    __slots__ = ("name", "suggestion", "lease_token", "measured_at", "frame_revision", "status", "spectrum", "axes", "mask", "has_value", "value", "value_variance", "value_scalarizer", "dwell_s", "dose", "cost_s", "measured_time", "settings", "client_id", "message", "score_state", "target", "target_variance", "target_unit", "score_message", "is_late", "is_unsolicited", "is_outside", "ordinal", "received_time", "further")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SUGGESTION_FIELD_NUMBER: _ClassVar[int]
    LEASE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    MEASURED_AT_FIELD_NUMBER: _ClassVar[int]
    FRAME_REVISION_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    SPECTRUM_FIELD_NUMBER: _ClassVar[int]
    AXES_FIELD_NUMBER: _ClassVar[int]
    MASK_FIELD_NUMBER: _ClassVar[int]
    HAS_VALUE_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    VALUE_VARIANCE_FIELD_NUMBER: _ClassVar[int]
    VALUE_SCALARIZER_FIELD_NUMBER: _ClassVar[int]
    DWELL_S_FIELD_NUMBER: _ClassVar[int]
    DOSE_FIELD_NUMBER: _ClassVar[int]
    COST_S_FIELD_NUMBER: _ClassVar[int]
    MEASURED_TIME_FIELD_NUMBER: _ClassVar[int]
    SETTINGS_FIELD_NUMBER: _ClassVar[int]
    CLIENT_ID_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    SCORE_STATE_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    TARGET_VARIANCE_FIELD_NUMBER: _ClassVar[int]
    TARGET_UNIT_FIELD_NUMBER: _ClassVar[int]
    SCORE_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    IS_LATE_FIELD_NUMBER: _ClassVar[int]
    IS_UNSOLICITED_FIELD_NUMBER: _ClassVar[int]
    IS_OUTSIDE_FIELD_NUMBER: _ClassVar[int]
    ORDINAL_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_TIME_FIELD_NUMBER: _ClassVar[int]
    FURTHER_FIELD_NUMBER: _ClassVar[int]
    name: str
    suggestion: str
    lease_token: str
    measured_at: Position
    frame_revision: int
    status: ObservationStatus
    spectrum: Tensor
    axes: _containers.RepeatedCompositeFieldContainer[Axis]
    mask: Tensor
    has_value: bool
    value: float
    value_variance: float
    value_scalarizer: str
    dwell_s: float
    dose: float
    cost_s: float
    measured_time: float
    settings: _containers.RepeatedCompositeFieldContainer[Setting]
    client_id: str
    message: str
    score_state: ScoreState
    target: float
    target_variance: float
    target_unit: str
    score_message: str
    is_late: bool
    is_unsolicited: bool
    is_outside: bool
    ordinal: int
    received_time: float
    further: _containers.RepeatedCompositeFieldContainer[FurtherScore]
    def __init__(self, name: _Optional[str] = ..., suggestion: _Optional[str] = ..., lease_token: _Optional[str] = ..., measured_at: _Optional[_Union[Position, _Mapping]] = ..., frame_revision: _Optional[int] = ..., status: _Optional[_Union[ObservationStatus, str]] = ..., spectrum: _Optional[_Union[Tensor, _Mapping]] = ..., axes: _Optional[_Iterable[_Union[Axis, _Mapping]]] = ..., mask: _Optional[_Union[Tensor, _Mapping]] = ..., has_value: bool = ..., value: _Optional[float] = ..., value_variance: _Optional[float] = ..., value_scalarizer: _Optional[str] = ..., dwell_s: _Optional[float] = ..., dose: _Optional[float] = ..., cost_s: _Optional[float] = ..., measured_time: _Optional[float] = ..., settings: _Optional[_Iterable[_Union[Setting, _Mapping]]] = ..., client_id: _Optional[str] = ..., message: _Optional[str] = ..., score_state: _Optional[_Union[ScoreState, str]] = ..., target: _Optional[float] = ..., target_variance: _Optional[float] = ..., target_unit: _Optional[str] = ..., score_message: _Optional[str] = ..., is_late: bool = ..., is_unsolicited: bool = ..., is_outside: bool = ..., ordinal: _Optional[int] = ..., received_time: _Optional[float] = ..., further: _Optional[_Iterable[_Union[FurtherScore, _Mapping]]] = ...) -> None: ...

class TellRequest(_message.Message):
    __slots__ = ("request_id", "campaign", "observation", "last_seen")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    CAMPAIGN_FIELD_NUMBER: _ClassVar[int]
    OBSERVATION_FIELD_NUMBER: _ClassVar[int]
    LAST_SEEN_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    campaign: str
    observation: Observation
    last_seen: StateVersion
    def __init__(self, request_id: _Optional[str] = ..., campaign: _Optional[str] = ..., observation: _Optional[_Union[Observation, _Mapping]] = ..., last_seen: _Optional[_Union[StateVersion, _Mapping]] = ...) -> None: ...

class TellReply(_message.Message):
    __slots__ = ("observation", "version", "calibration", "timing")
    OBSERVATION_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CALIBRATION_FIELD_NUMBER: _ClassVar[int]
    TIMING_FIELD_NUMBER: _ClassVar[int]
    observation: Observation
    version: StateVersion
    calibration: Calibration
    timing: Timing
    def __init__(self, observation: _Optional[_Union[Observation, _Mapping]] = ..., version: _Optional[_Union[StateVersion, _Mapping]] = ..., calibration: _Optional[_Union[Calibration, _Mapping]] = ..., timing: _Optional[_Union[Timing, _Mapping]] = ...) -> None: ...

class StepRequest(_message.Message):
    __slots__ = ("request_id", "campaign", "observation", "count", "client_id", "compute_budget_s", "last_seen")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    CAMPAIGN_FIELD_NUMBER: _ClassVar[int]
    OBSERVATION_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    CLIENT_ID_FIELD_NUMBER: _ClassVar[int]
    COMPUTE_BUDGET_S_FIELD_NUMBER: _ClassVar[int]
    LAST_SEEN_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    campaign: str
    observation: Observation
    count: int
    client_id: str
    compute_budget_s: float
    last_seen: StateVersion
    def __init__(self, request_id: _Optional[str] = ..., campaign: _Optional[str] = ..., observation: _Optional[_Union[Observation, _Mapping]] = ..., count: _Optional[int] = ..., client_id: _Optional[str] = ..., compute_budget_s: _Optional[float] = ..., last_seen: _Optional[_Union[StateVersion, _Mapping]] = ...) -> None: ...

class StepReply(_message.Message):
    __slots__ = ("observation", "suggestions", "stop", "version", "calibration", "degraded_reasons", "timing", "advice", "theory")
    OBSERVATION_FIELD_NUMBER: _ClassVar[int]
    SUGGESTIONS_FIELD_NUMBER: _ClassVar[int]
    STOP_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CALIBRATION_FIELD_NUMBER: _ClassVar[int]
    DEGRADED_REASONS_FIELD_NUMBER: _ClassVar[int]
    TIMING_FIELD_NUMBER: _ClassVar[int]
    ADVICE_FIELD_NUMBER: _ClassVar[int]
    THEORY_FIELD_NUMBER: _ClassVar[int]
    observation: Observation
    suggestions: _containers.RepeatedCompositeFieldContainer[Suggestion]
    stop: StopReport
    version: StateVersion
    calibration: Calibration
    degraded_reasons: _containers.RepeatedScalarFieldContainer[str]
    timing: Timing
    advice: _containers.RepeatedCompositeFieldContainer[StopAdvice]
    theory: TheoryInfluence
    def __init__(self, observation: _Optional[_Union[Observation, _Mapping]] = ..., suggestions: _Optional[_Iterable[_Union[Suggestion, _Mapping]]] = ..., stop: _Optional[_Union[StopReport, _Mapping]] = ..., version: _Optional[_Union[StateVersion, _Mapping]] = ..., calibration: _Optional[_Union[Calibration, _Mapping]] = ..., degraded_reasons: _Optional[_Iterable[str]] = ..., timing: _Optional[_Union[Timing, _Mapping]] = ..., advice: _Optional[_Iterable[_Union[StopAdvice, _Mapping]]] = ..., theory: _Optional[_Union[TheoryInfluence, _Mapping]] = ...) -> None: ...

class AmendObservationRequest(_message.Message):
    __slots__ = ("request_id", "name", "measured_at", "has_value", "value", "value_variance", "reason")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    MEASURED_AT_FIELD_NUMBER: _ClassVar[int]
    HAS_VALUE_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    VALUE_VARIANCE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    name: str
    measured_at: Position
    has_value: bool
    value: float
    value_variance: float
    reason: str
    def __init__(self, request_id: _Optional[str] = ..., name: _Optional[str] = ..., measured_at: _Optional[_Union[Position, _Mapping]] = ..., has_value: bool = ..., value: _Optional[float] = ..., value_variance: _Optional[float] = ..., reason: _Optional[str] = ...) -> None: ...

class RetractObservationRequest(_message.Message):
    __slots__ = ("request_id", "name", "reason")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    name: str
    reason: str
    def __init__(self, request_id: _Optional[str] = ..., name: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class ObservationReply(_message.Message):
    __slots__ = ("observation", "version")
    OBSERVATION_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    observation: Observation
    version: StateVersion
    def __init__(self, observation: _Optional[_Union[Observation, _Mapping]] = ..., version: _Optional[_Union[StateVersion, _Mapping]] = ...) -> None: ...

class ListObservationsRequest(_message.Message):
    __slots__ = ("campaign", "page_size", "page_token", "is_with_spectra")
    CAMPAIGN_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    IS_WITH_SPECTRA_FIELD_NUMBER: _ClassVar[int]
    campaign: str
    page_size: int
    page_token: str
    is_with_spectra: bool
    def __init__(self, campaign: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., is_with_spectra: bool = ...) -> None: ...

class ListObservationsReply(_message.Message):
    __slots__ = ("observations", "next_page_token")
    OBSERVATIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    observations: _containers.RepeatedCompositeFieldContainer[Observation]
    next_page_token: str
    def __init__(self, observations: _Optional[_Iterable[_Union[Observation, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class PreviewRequest(_message.Message):
    __slots__ = ("campaign", "count")
    CAMPAIGN_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    campaign: str
    count: int
    def __init__(self, campaign: _Optional[str] = ..., count: _Optional[int] = ...) -> None: ...

class PreviewReply(_message.Message):
    __slots__ = ("suggestions", "version", "degraded_reasons")
    SUGGESTIONS_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    DEGRADED_REASONS_FIELD_NUMBER: _ClassVar[int]
    suggestions: _containers.RepeatedCompositeFieldContainer[Suggestion]
    version: StateVersion
    degraded_reasons: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, suggestions: _Optional[_Iterable[_Union[Suggestion, _Mapping]]] = ..., version: _Optional[_Union[StateVersion, _Mapping]] = ..., degraded_reasons: _Optional[_Iterable[str]] = ...) -> None: ...

class ExplainRequest(_message.Message):
    __slots__ = ("campaign", "suggestion", "position")
    CAMPAIGN_FIELD_NUMBER: _ClassVar[int]
    SUGGESTION_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    campaign: str
    suggestion: str
    position: Position
    def __init__(self, campaign: _Optional[str] = ..., suggestion: _Optional[str] = ..., position: _Optional[_Union[Position, _Mapping]] = ...) -> None: ...

class MemberWeight(_message.Message):
    __slots__ = ("member", "weight", "mean", "std")
    MEMBER_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    MEAN_FIELD_NUMBER: _ClassVar[int]
    STD_FIELD_NUMBER: _ClassVar[int]
    member: str
    weight: float
    mean: float
    std: float
    def __init__(self, member: _Optional[str] = ..., weight: _Optional[float] = ..., mean: _Optional[float] = ..., std: _Optional[float] = ...) -> None: ...

class Neighbour(_message.Message):
    __slots__ = ("observation", "target", "similarity")
    OBSERVATION_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    SIMILARITY_FIELD_NUMBER: _ClassVar[int]
    observation: str
    target: float
    similarity: float
    def __init__(self, observation: _Optional[str] = ..., target: _Optional[float] = ..., similarity: _Optional[float] = ...) -> None: ...

class ExplainReply(_message.Message):
    __slots__ = ("position", "mean", "std", "acquisition", "exploit", "explore", "members", "nearest", "model_version", "n_since_fit", "text", "version", "novelty", "theory")
    POSITION_FIELD_NUMBER: _ClassVar[int]
    MEAN_FIELD_NUMBER: _ClassVar[int]
    STD_FIELD_NUMBER: _ClassVar[int]
    ACQUISITION_FIELD_NUMBER: _ClassVar[int]
    EXPLOIT_FIELD_NUMBER: _ClassVar[int]
    EXPLORE_FIELD_NUMBER: _ClassVar[int]
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    NEAREST_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    N_SINCE_FIT_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    NOVELTY_FIELD_NUMBER: _ClassVar[int]
    THEORY_FIELD_NUMBER: _ClassVar[int]
    position: Position
    mean: float
    std: float
    acquisition: float
    exploit: float
    explore: float
    members: _containers.RepeatedCompositeFieldContainer[MemberWeight]
    nearest: _containers.RepeatedCompositeFieldContainer[Neighbour]
    model_version: int
    n_since_fit: int
    text: str
    version: StateVersion
    novelty: float
    theory: _containers.RepeatedCompositeFieldContainer[TheoryOpinion]
    def __init__(self, position: _Optional[_Union[Position, _Mapping]] = ..., mean: _Optional[float] = ..., std: _Optional[float] = ..., acquisition: _Optional[float] = ..., exploit: _Optional[float] = ..., explore: _Optional[float] = ..., members: _Optional[_Iterable[_Union[MemberWeight, _Mapping]]] = ..., nearest: _Optional[_Iterable[_Union[Neighbour, _Mapping]]] = ..., model_version: _Optional[int] = ..., n_since_fit: _Optional[int] = ..., text: _Optional[str] = ..., version: _Optional[_Union[StateVersion, _Mapping]] = ..., novelty: _Optional[float] = ..., theory: _Optional[_Iterable[_Union[TheoryOpinion, _Mapping]]] = ...) -> None: ...

class TheoryOpinion(_message.Message):
    __slots__ = ("engine", "value", "std", "slope", "slope_std")
    ENGINE_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    STD_FIELD_NUMBER: _ClassVar[int]
    SLOPE_FIELD_NUMBER: _ClassVar[int]
    SLOPE_STD_FIELD_NUMBER: _ClassVar[int]
    engine: str
    value: float
    std: float
    slope: float
    slope_std: float
    def __init__(self, engine: _Optional[str] = ..., value: _Optional[float] = ..., std: _Optional[float] = ..., slope: _Optional[float] = ..., slope_std: _Optional[float] = ...) -> None: ...

class GetMapsRequest(_message.Message):
    __slots__ = ("campaign", "kinds")
    CAMPAIGN_FIELD_NUMBER: _ClassVar[int]
    KINDS_FIELD_NUMBER: _ClassVar[int]
    campaign: str
    kinds: _containers.RepeatedScalarFieldContainer[MapKind]
    def __init__(self, campaign: _Optional[str] = ..., kinds: _Optional[_Iterable[_Union[MapKind, str]]] = ...) -> None: ...

class Map(_message.Message):
    __slots__ = ("kind", "tensor")
    KIND_FIELD_NUMBER: _ClassVar[int]
    TENSOR_FIELD_NUMBER: _ClassVar[int]
    kind: MapKind
    tensor: Tensor
    def __init__(self, kind: _Optional[_Union[MapKind, str]] = ..., tensor: _Optional[_Union[Tensor, _Mapping]] = ...) -> None: ...

class GetMapsReply(_message.Message):
    __slots__ = ("maps", "version", "weights", "target_unit", "degraded_reasons")
    MAPS_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    WEIGHTS_FIELD_NUMBER: _ClassVar[int]
    TARGET_UNIT_FIELD_NUMBER: _ClassVar[int]
    DEGRADED_REASONS_FIELD_NUMBER: _ClassVar[int]
    maps: _containers.RepeatedCompositeFieldContainer[Map]
    version: StateVersion
    weights: _containers.RepeatedCompositeFieldContainer[MemberWeight]
    target_unit: str
    degraded_reasons: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, maps: _Optional[_Iterable[_Union[Map, _Mapping]]] = ..., version: _Optional[_Union[StateVersion, _Mapping]] = ..., weights: _Optional[_Iterable[_Union[MemberWeight, _Mapping]]] = ..., target_unit: _Optional[str] = ..., degraded_reasons: _Optional[_Iterable[str]] = ...) -> None: ...

class GetParetoFrontRequest(_message.Message):
    __slots__ = ("campaign",)
    CAMPAIGN_FIELD_NUMBER: _ClassVar[int]
    campaign: str
    def __init__(self, campaign: _Optional[str] = ...) -> None: ...

class GetParetoFrontReply(_message.Message):
    __slots__ = ("observations", "n_compared", "version")
    OBSERVATIONS_FIELD_NUMBER: _ClassVar[int]
    N_COMPARED_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    observations: _containers.RepeatedCompositeFieldContainer[Observation]
    n_compared: int
    version: StateVersion
    def __init__(self, observations: _Optional[_Iterable[_Union[Observation, _Mapping]]] = ..., n_compared: _Optional[int] = ..., version: _Optional[_Union[StateVersion, _Mapping]] = ...) -> None: ...

class WatchEventsRequest(_message.Message):
    __slots__ = ("campaign", "after_seq")
    CAMPAIGN_FIELD_NUMBER: _ClassVar[int]
    AFTER_SEQ_FIELD_NUMBER: _ClassVar[int]
    campaign: str
    after_seq: int
    def __init__(self, campaign: _Optional[str] = ..., after_seq: _Optional[int] = ...) -> None: ...

class Event(_message.Message):
    __slots__ = ("seq", "kind", "time", "principal", "payload_json", "hash")
    SEQ_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    PRINCIPAL_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_JSON_FIELD_NUMBER: _ClassVar[int]
    HASH_FIELD_NUMBER: _ClassVar[int]
    seq: int
    kind: str
    time: float
    principal: str
    payload_json: str
    hash: str
    def __init__(self, seq: _Optional[int] = ..., kind: _Optional[str] = ..., time: _Optional[float] = ..., principal: _Optional[str] = ..., payload_json: _Optional[str] = ..., hash: _Optional[str] = ...) -> None: ...

class ExportCampaignRequest(_message.Message):
    __slots__ = ("campaign",)
    CAMPAIGN_FIELD_NUMBER: _ClassVar[int]
    campaign: str
    def __init__(self, campaign: _Optional[str] = ...) -> None: ...

class ExportCampaignChunk(_message.Message):
    __slots__ = ("offset", "data")
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    offset: int
    data: bytes
    def __init__(self, offset: _Optional[int] = ..., data: _Optional[bytes] = ...) -> None: ...

class VerifyCampaignRequest(_message.Message):
    __slots__ = ("campaign", "is_replaying")
    CAMPAIGN_FIELD_NUMBER: _ClassVar[int]
    IS_REPLAYING_FIELD_NUMBER: _ClassVar[int]
    campaign: str
    is_replaying: bool
    def __init__(self, campaign: _Optional[str] = ..., is_replaying: bool = ...) -> None: ...

class VerifyCampaignReply(_message.Message):
    __slots__ = ("is_ok", "n_events", "problems")
    IS_OK_FIELD_NUMBER: _ClassVar[int]
    N_EVENTS_FIELD_NUMBER: _ClassVar[int]
    PROBLEMS_FIELD_NUMBER: _ClassVar[int]
    is_ok: bool
    n_events: int
    problems: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, is_ok: bool = ..., n_events: _Optional[int] = ..., problems: _Optional[_Iterable[str]] = ...) -> None: ...

class Plugin(_message.Message):
    __slots__ = ("kind", "name", "summary", "params_schema_json", "distribution", "version", "load_error")
    KIND_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    PARAMS_SCHEMA_JSON_FIELD_NUMBER: _ClassVar[int]
    DISTRIBUTION_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    LOAD_ERROR_FIELD_NUMBER: _ClassVar[int]
    kind: PluginKind
    name: str
    summary: str
    params_schema_json: str
    distribution: str
    version: str
    load_error: str
    def __init__(self, kind: _Optional[_Union[PluginKind, str]] = ..., name: _Optional[str] = ..., summary: _Optional[str] = ..., params_schema_json: _Optional[str] = ..., distribution: _Optional[str] = ..., version: _Optional[str] = ..., load_error: _Optional[str] = ...) -> None: ...

class ListPluginsRequest(_message.Message):
    __slots__ = ("kind",)
    KIND_FIELD_NUMBER: _ClassVar[int]
    kind: PluginKind
    def __init__(self, kind: _Optional[_Union[PluginKind, str]] = ...) -> None: ...

class ListPluginsReply(_message.Message):
    __slots__ = ("plugins",)
    PLUGINS_FIELD_NUMBER: _ClassVar[int]
    plugins: _containers.RepeatedCompositeFieldContainer[Plugin]
    def __init__(self, plugins: _Optional[_Iterable[_Union[Plugin, _Mapping]]] = ...) -> None: ...

class BeginBlobRequest(_message.Message):
    __slots__ = ("request_id", "campaign", "size", "sha256")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    CAMPAIGN_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    campaign: str
    size: int
    sha256: str
    def __init__(self, request_id: _Optional[str] = ..., campaign: _Optional[str] = ..., size: _Optional[int] = ..., sha256: _Optional[str] = ...) -> None: ...

class BeginBlobReply(_message.Message):
    __slots__ = ("upload_id", "received", "is_complete", "name", "chunk_size")
    UPLOAD_ID_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_FIELD_NUMBER: _ClassVar[int]
    IS_COMPLETE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    CHUNK_SIZE_FIELD_NUMBER: _ClassVar[int]
    upload_id: str
    received: int
    is_complete: bool
    name: str
    chunk_size: int
    def __init__(self, upload_id: _Optional[str] = ..., received: _Optional[int] = ..., is_complete: bool = ..., name: _Optional[str] = ..., chunk_size: _Optional[int] = ...) -> None: ...

class WriteBlobRequest(_message.Message):
    __slots__ = ("upload_id", "offset", "data")
    UPLOAD_ID_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    upload_id: str
    offset: int
    data: bytes
    def __init__(self, upload_id: _Optional[str] = ..., offset: _Optional[int] = ..., data: _Optional[bytes] = ...) -> None: ...

class WriteBlobReply(_message.Message):
    __slots__ = ("received",)
    RECEIVED_FIELD_NUMBER: _ClassVar[int]
    received: int
    def __init__(self, received: _Optional[int] = ...) -> None: ...

class FinishBlobRequest(_message.Message):
    __slots__ = ("request_id", "upload_id")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    UPLOAD_ID_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    upload_id: str
    def __init__(self, request_id: _Optional[str] = ..., upload_id: _Optional[str] = ...) -> None: ...

class FinishBlobReply(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class ReadBlobRequest(_message.Message):
    __slots__ = ("campaign", "name")
    CAMPAIGN_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    campaign: str
    name: str
    def __init__(self, campaign: _Optional[str] = ..., name: _Optional[str] = ...) -> None: ...

class BlobChunk(_message.Message):
    __slots__ = ("offset", "data")
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    offset: int
    data: bytes
    def __init__(self, offset: _Optional[int] = ..., data: _Optional[bytes] = ...) -> None: ...

class TheoryJob(_message.Message):
    __slots__ = ("name", "position", "engine", "settings_json", "patch", "structure_json", "state", "attempt", "deadline_s", "core_hours", "lease_token", "expires_in_s", "key", "results", "message", "evidence_state", "progress", "pixel_size", "failure", "wall_s", "has_candidate", "candidate", "reason", "is_automatic", "worker_id", "cached_from", "queued_time", "ended_time", "progress_message", "place_y", "place_x", "structure")
    NAME_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    ENGINE_FIELD_NUMBER: _ClassVar[int]
    SETTINGS_JSON_FIELD_NUMBER: _ClassVar[int]
    PATCH_FIELD_NUMBER: _ClassVar[int]
    STRUCTURE_JSON_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_S_FIELD_NUMBER: _ClassVar[int]
    CORE_HOURS_FIELD_NUMBER: _ClassVar[int]
    LEASE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_IN_S_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_STATE_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    PIXEL_SIZE_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    WALL_S_FIELD_NUMBER: _ClassVar[int]
    HAS_CANDIDATE_FIELD_NUMBER: _ClassVar[int]
    CANDIDATE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    IS_AUTOMATIC_FIELD_NUMBER: _ClassVar[int]
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    CACHED_FROM_FIELD_NUMBER: _ClassVar[int]
    QUEUED_TIME_FIELD_NUMBER: _ClassVar[int]
    ENDED_TIME_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    PLACE_Y_FIELD_NUMBER: _ClassVar[int]
    PLACE_X_FIELD_NUMBER: _ClassVar[int]
    STRUCTURE_FIELD_NUMBER: _ClassVar[int]
    name: str
    position: Position
    engine: str
    settings_json: str
    patch: Tensor
    structure_json: str
    state: TheoryJobState
    attempt: int
    deadline_s: float
    core_hours: float
    lease_token: str
    expires_in_s: float
    key: str
    results: _containers.RepeatedCompositeFieldContainer[Quantity]
    message: str
    evidence_state: EvidenceState
    progress: float
    pixel_size: Length
    failure: str
    wall_s: float
    has_candidate: bool
    candidate: int
    reason: str
    is_automatic: bool
    worker_id: str
    cached_from: str
    queued_time: float
    ended_time: float
    progress_message: str
    place_y: float
    place_x: float
    structure: str
    def __init__(self, name: _Optional[str] = ..., position: _Optional[_Union[Position, _Mapping]] = ..., engine: _Optional[str] = ..., settings_json: _Optional[str] = ..., patch: _Optional[_Union[Tensor, _Mapping]] = ..., structure_json: _Optional[str] = ..., state: _Optional[_Union[TheoryJobState, str]] = ..., attempt: _Optional[int] = ..., deadline_s: _Optional[float] = ..., core_hours: _Optional[float] = ..., lease_token: _Optional[str] = ..., expires_in_s: _Optional[float] = ..., key: _Optional[str] = ..., results: _Optional[_Iterable[_Union[Quantity, _Mapping]]] = ..., message: _Optional[str] = ..., evidence_state: _Optional[_Union[EvidenceState, str]] = ..., progress: _Optional[float] = ..., pixel_size: _Optional[_Union[Length, _Mapping]] = ..., failure: _Optional[str] = ..., wall_s: _Optional[float] = ..., has_candidate: bool = ..., candidate: _Optional[int] = ..., reason: _Optional[str] = ..., is_automatic: bool = ..., worker_id: _Optional[str] = ..., cached_from: _Optional[str] = ..., queued_time: _Optional[float] = ..., ended_time: _Optional[float] = ..., progress_message: _Optional[str] = ..., place_y: _Optional[float] = ..., place_x: _Optional[float] = ..., structure: _Optional[str] = ...) -> None: ...

class Quantity(_message.Message):
    __slots__ = ("name", "value", "std", "unit", "is_converged")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    STD_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    IS_CONVERGED_FIELD_NUMBER: _ClassVar[int]
    name: str
    value: float
    std: float
    unit: str
    is_converged: bool
    def __init__(self, name: _Optional[str] = ..., value: _Optional[float] = ..., std: _Optional[float] = ..., unit: _Optional[str] = ..., is_converged: bool = ...) -> None: ...

class SubmitTheoryJobRequest(_message.Message):
    __slots__ = ("request_id", "campaign", "job_id", "job")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    CAMPAIGN_FIELD_NUMBER: _ClassVar[int]
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    JOB_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    campaign: str
    job_id: str
    job: TheoryJob
    def __init__(self, request_id: _Optional[str] = ..., campaign: _Optional[str] = ..., job_id: _Optional[str] = ..., job: _Optional[_Union[TheoryJob, _Mapping]] = ...) -> None: ...

class AcquireTheoryJobsRequest(_message.Message):
    __slots__ = ("request_id", "campaign", "worker_id", "engines", "count", "lease_s", "wait_s")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    CAMPAIGN_FIELD_NUMBER: _ClassVar[int]
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    ENGINES_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    LEASE_S_FIELD_NUMBER: _ClassVar[int]
    WAIT_S_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    campaign: str
    worker_id: str
    engines: _containers.RepeatedScalarFieldContainer[str]
    count: int
    lease_s: float
    wait_s: float
    def __init__(self, request_id: _Optional[str] = ..., campaign: _Optional[str] = ..., worker_id: _Optional[str] = ..., engines: _Optional[_Iterable[str]] = ..., count: _Optional[int] = ..., lease_s: _Optional[float] = ..., wait_s: _Optional[float] = ...) -> None: ...

class AcquireTheoryJobsReply(_message.Message):
    __slots__ = ("jobs",)
    JOBS_FIELD_NUMBER: _ClassVar[int]
    jobs: _containers.RepeatedCompositeFieldContainer[TheoryJob]
    def __init__(self, jobs: _Optional[_Iterable[_Union[TheoryJob, _Mapping]]] = ...) -> None: ...

class ReportTheoryProgressRequest(_message.Message):
    __slots__ = ("request_id", "name", "lease_token", "progress", "message")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    LEASE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    name: str
    lease_token: str
    progress: float
    message: str
    def __init__(self, request_id: _Optional[str] = ..., name: _Optional[str] = ..., lease_token: _Optional[str] = ..., progress: _Optional[float] = ..., message: _Optional[str] = ...) -> None: ...

class ReportTheoryProgressReply(_message.Message):
    __slots__ = ("is_cancelled", "expires_in_s")
    IS_CANCELLED_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_IN_S_FIELD_NUMBER: _ClassVar[int]
    is_cancelled: bool
    expires_in_s: float
    def __init__(self, is_cancelled: bool = ..., expires_in_s: _Optional[float] = ...) -> None: ...

class FinishTheoryJobRequest(_message.Message):
    __slots__ = ("request_id", "name", "lease_token", "state", "results", "message", "core_hours", "failure", "wall_s", "key", "structure_json")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    LEASE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    CORE_HOURS_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    WALL_S_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    STRUCTURE_JSON_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    name: str
    lease_token: str
    state: TheoryJobState
    results: _containers.RepeatedCompositeFieldContainer[Quantity]
    message: str
    core_hours: float
    failure: str
    wall_s: float
    key: str
    structure_json: str
    def __init__(self, request_id: _Optional[str] = ..., name: _Optional[str] = ..., lease_token: _Optional[str] = ..., state: _Optional[_Union[TheoryJobState, str]] = ..., results: _Optional[_Iterable[_Union[Quantity, _Mapping]]] = ..., message: _Optional[str] = ..., core_hours: _Optional[float] = ..., failure: _Optional[str] = ..., wall_s: _Optional[float] = ..., key: _Optional[str] = ..., structure_json: _Optional[str] = ...) -> None: ...

class TheoryJobReply(_message.Message):
    __slots__ = ("job", "version")
    JOB_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    job: TheoryJob
    version: StateVersion
    def __init__(self, job: _Optional[_Union[TheoryJob, _Mapping]] = ..., version: _Optional[_Union[StateVersion, _Mapping]] = ...) -> None: ...

class ListTheoryJobsRequest(_message.Message):
    __slots__ = ("campaign", "page_size", "page_token", "state")
    CAMPAIGN_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    campaign: str
    page_size: int
    page_token: str
    state: TheoryJobState
    def __init__(self, campaign: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., state: _Optional[_Union[TheoryJobState, str]] = ...) -> None: ...

class ListTheoryJobsReply(_message.Message):
    __slots__ = ("jobs", "next_page_token")
    JOBS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    jobs: _containers.RepeatedCompositeFieldContainer[TheoryJob]
    next_page_token: str
    def __init__(self, jobs: _Optional[_Iterable[_Union[TheoryJob, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class CancelTheoryJobRequest(_message.Message):
    __slots__ = ("request_id", "name", "reason")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    name: str
    reason: str
    def __init__(self, request_id: _Optional[str] = ..., name: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class SetEvidenceStateRequest(_message.Message):
    __slots__ = ("request_id", "name", "state", "reason")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    name: str
    state: EvidenceState
    reason: str
    def __init__(self, request_id: _Optional[str] = ..., name: _Optional[str] = ..., state: _Optional[_Union[EvidenceState, str]] = ..., reason: _Optional[str] = ...) -> None: ...

class RichStatus(_message.Message):
    __slots__ = ("code", "message", "details")
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    DETAILS_FIELD_NUMBER: _ClassVar[int]
    code: int
    message: str
    details: _containers.RepeatedCompositeFieldContainer[PackedDetail]
    def __init__(self, code: _Optional[int] = ..., message: _Optional[str] = ..., details: _Optional[_Iterable[_Union[PackedDetail, _Mapping]]] = ...) -> None: ...

class PackedDetail(_message.Message):
    __slots__ = ("type_url", "value")
    TYPE_URL_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    type_url: str
    value: bytes
    def __init__(self, type_url: _Optional[str] = ..., value: _Optional[bytes] = ...) -> None: ...

class ErrorInfo(_message.Message):
    __slots__ = ("reason", "domain")
    REASON_FIELD_NUMBER: _ClassVar[int]
    DOMAIN_FIELD_NUMBER: _ClassVar[int]
    reason: str
    domain: str
    def __init__(self, reason: _Optional[str] = ..., domain: _Optional[str] = ...) -> None: ...

class BadRequest(_message.Message):
    __slots__ = ("field_violations",)
    FIELD_VIOLATIONS_FIELD_NUMBER: _ClassVar[int]
    field_violations: _containers.RepeatedCompositeFieldContainer[FieldViolation]
    def __init__(self, field_violations: _Optional[_Iterable[_Union[FieldViolation, _Mapping]]] = ...) -> None: ...

class FieldViolation(_message.Message):
    __slots__ = ("field", "description")
    FIELD_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    field: str
    description: str
    def __init__(self, field: _Optional[str] = ..., description: _Optional[str] = ...) -> None: ...
