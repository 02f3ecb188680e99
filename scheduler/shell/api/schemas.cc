// Schemas of the answers in docs/api.md. Fields are only ever added, so none forbids others.
#include "scheduler/shell/api/openapi.h"

namespace allot::scheduler {

const char kAnswerSchemas[] = R"json({
"Any": {"type": "object"},
"Done": {"type": "object", "properties": {"version": {"type": "integer"}, "ok": {"type": "boolean"}}},
"Error": {"type": "object", "properties": {"error": {"type": "object", "properties": {
  "code": {"type": "string"}, "message": {"type": "string"}}}}},
"DeviceUse": {"type": "object", "properties": {"id": {"type": "string"}, "model": {"type": "string"},
  "kind": {"type": "string", "enum": ["GPU", "CPU", "ASIC"]}, "emulated": {"type": "boolean"}}},
"TaskState": {"type": "object", "properties": {
  "rank": {"type": "integer"}, "node": {"type": "string"},
  "devices": {"type": "array", "items": {"$ref": "#/components/schemas/DeviceUse"}},
  "phase": {"type": "string", "enum": ["assigned", "running", "exited", "abandoned"]},
  "pid": {"type": "integer"}, "code": {"type": "integer"}, "signal": {"type": "integer"},
  "message": {"type": "string"},
  "progress": {"type": "object", "properties": {"step": {"type": "integer"},
    "total": {"type": "integer"}, "loss": {"type": "number"}}}}},
"JobState": {"type": "object", "properties": {
  "id": {"type": "string", "example": "job-17"}, "name": {"type": "string"},
  "tenant": {"type": "string"}, "user": {"type": "string"},
  "phase": {"type": "string", "enum": ["pending", "running", "stopping", "finished"]},
  "outcome": {"type": "string", "enum": ["succeeded", "failed", "cancelled", "timed_out"]},
  "code": {"type": "integer", "description": "what `allot wait` returns"},
  "attempt": {"type": "integer"}, "tasks_total": {"type": "integer"},
  "priority": {"type": "integer"}, "submitted": {"type": "string", "format": "date-time"},
  "placed": {"type": "string", "format": "date-time"},
  "finished": {"type": "string", "format": "date-time"},
  "waited_seconds": {"type": "number"}, "ran_seconds": {"type": "number"},
  "price_usd_per_hour": {"type": "number"}, "cost_usd": {"type": "number"},
  "command": {"type": "array", "items": {"type": "string"}}, "message": {"type": "string"},
  "emulated": {"type": "boolean"},
  "tasks": {"type": "array", "items": {"$ref": "#/components/schemas/TaskState"}}}},
"JobAnswer": {"type": "object", "properties": {"version": {"type": "integer"},
  "job": {"$ref": "#/components/schemas/JobState"}}},
"JobList": {"type": "object", "properties": {"version": {"type": "integer"},
  "jobs": {"type": "array", "items": {"$ref": "#/components/schemas/JobState"}},
  "next": {"type": "string"}}},
"Explanation": {"type": "object", "properties": {"version": {"type": "integer"},
  "job": {"type": "string"}, "phase": {"type": "string"}, "never": {"type": "boolean"},
  "waited_seconds": {"type": "number"},
  "reasons": {"type": "array", "items": {"type": "object", "properties": {
    "reason": {"type": "string"}, "count": {"type": "integer"}, "detail": {"type": "string"}}}},
  "remedies": {"type": "array", "items": {"type": "string"}},
  "candidates": {"type": "array", "items": {"type": "object", "properties": {
    "node": {"type": "string"}, "device_model": {"type": "string"}, "emulated": {"type": "boolean"},
    "price_usd_per_hour": {"type": "number"}, "score_usd": {"type": "number"},
    "verdict": {"type": "string"}}}}}},
"ReplicaState": {"type": "object", "properties": {
  "id": {"type": "string", "example": "replica-3"}, "group": {"type": "integer"},
  "generation": {"type": "integer"}, "node": {"type": "string"},
  "devices": {"type": "array", "items": {"$ref": "#/components/schemas/DeviceUse"}},
  "phase": {"type": "string"}, "restarts": {"type": "integer"}, "pid": {"type": "integer"},
  "price_usd_per_hour": {"type": "number"}, "message": {"type": "string"}}},
"DeploymentState": {"type": "object", "properties": {
  "name": {"type": "string"}, "tenant": {"type": "string"}, "model": {"type": "string"}, "generation": {"type": "integer"},
  "stopping": {"type": "boolean"},
  "objective": {"type": "object", "properties": {"ttft_seconds": {"type": "number"},
    "per_token_seconds": {"type": "number"}, "end_to_end_seconds": {"type": "number"},
    "percentile": {"type": "number"}}},
  "replicas": {"type": "array", "items": {"$ref": "#/components/schemas/ReplicaState"}},
  "wanted": {"type": "integer"}, "ready": {"type": "integer"},
  "waiting": {"type": "array", "items": {"type": "object", "properties": {
    "group": {"type": "integer"}, "count": {"type": "integer"},
    "reasons": {"type": "array", "items": {"type": "object"}}}}}}},
"DeploymentAnswer": {"type": "object", "properties": {"version": {"type": "integer"},
  "deployment": {"$ref": "#/components/schemas/DeploymentState"}}},
"DeploymentList": {"type": "object", "properties": {"version": {"type": "integer"},
  "deployments": {"type": "array", "items": {"$ref": "#/components/schemas/DeploymentState"}}}},
"Node": {"type": "object", "properties": {
  "name": {"type": "string"}, "alive": {"type": "boolean"}, "draining": {"type": "boolean"},
  "epoch": {"type": "integer"}, "address": {"type": "string"}, "version": {"type": "string"},
  "labels": {"type": "object", "additionalProperties": {"type": "string"}},
  "cpus_total": {"type": "number"}, "cpus_free": {"type": "number"},
  "memory_total_bytes": {"type": "integer"}, "memory_free_bytes": {"type": "integer"},
  "devices_total": {"type": "integer"}, "devices_free": {"type": "integer"},
  "tasks": {"type": "integer"}, "replicas": {"type": "integer"},
  "last_heard_seconds": {"type": "number"}, "emulated": {"type": "boolean"}}},
"NodeAnswer": {"type": "object", "properties": {"version": {"type": "integer"},
  "node": {"$ref": "#/components/schemas/Node"}}},
"NodeList": {"type": "object", "properties": {"version": {"type": "integer"},
  "nodes": {"type": "array", "items": {"$ref": "#/components/schemas/Node"}}}},
"Device": {"type": "object", "properties": {
  "node": {"type": "string"}, "id": {"type": "string"},
  "kind": {"type": "string", "enum": ["GPU", "CPU", "ASIC"]}, "vendor": {"type": "string"},
  "model": {"type": "string"}, "memory_bytes": {"type": "integer"}, "state": {"type": "string"},
  "emulated": {"type": "boolean"}, "used_by": {"type": "string"},
  "price_usd_per_hour": {"type": "number"}, "power_watts": {"type": "number"},
  "temperature_celsius": {"type": "number"}, "utilization_ratio": {"type": "number"},
  "memory_used_bytes": {"type": "integer"}}},
"DeviceList": {"type": "object", "properties": {"version": {"type": "integer"},
  "devices": {"type": "array", "items": {"$ref": "#/components/schemas/Device"}}}},
"PolicyAnswer": {"type": "object", "properties": {"version": {"type": "integer"},
  "policy": {"type": "object"},
  "yaml": {"type": "string", "description": "the file that would give this policy"}}},
"Cluster": {"type": "object", "properties": {"version": {"type": "integer"},
  "name": {"type": "string"}, "term": {"type": "integer"},
  "started": {"type": "string", "format": "date-time"}, "policy": {"type": "string"},
  "gateways": {"type": "array", "items": {"type": "object", "properties": {
    "name": {"type": "string"}, "http_address": {"type": "string"}}}},
  "nodes": {"type": "object", "additionalProperties": {"type": "integer"}},
  "jobs": {"type": "object", "additionalProperties": {"type": "integer"}},
  "deployments": {"type": "integer"}, "replicas": {"type": "integer"}}},
"Targets": {"type": "array", "items": {"type": "object", "properties": {
  "targets": {"type": "array", "items": {"type": "string"}},
  "labels": {"type": "object", "additionalProperties": {"type": "string"}}}}}
})json";

}  // namespace allot::scheduler
