-- Health of a GlanceImage for Argo CD, from its conditions.
-- Degraded ends a sync, so a fault that may pass stays Progressing until so many tries in a row have failed.
local tries = 5

local status = obj.status or {}
local conditions = {}
for _, condition in ipairs(status.conditions or {}) do
  if condition.type == "Ready" or condition.status == "True" then
    conditions[condition.type] = condition
  end
end
local ready = conditions["Ready"]

if obj.spec.suspend == true then
  return { status = "Suspended", message = "spec.suspend is true: the image is neither compared nor changed" }
end
if ready == nil or status.observedGeneration ~= obj.metadata.generation then
  return { status = "Progressing", message = "Waiting for glance-image-operator to look at this declaration" }
end

local message = ready.reason .. ": " .. ready.message
if conditions["Warning"] ~= nil then
  message = message .. " (warning: " .. conditions["Warning"].message .. ")"
end
if conditions["Stalled"] ~= nil then
  return { status = "Degraded", message = message }
end
if status.lastError ~= nil and status.lastError.attempts >= tries then
  return { status = "Degraded", message = message }
end
if ready.status == "True" and conditions["Reconciling"] == nil then
  return { status = "Healthy", message = message }
end
return { status = "Progressing", message = message }
