local actions = {}
local isSuspended = obj.spec.suspend == true
local isDeleted = obj.metadata.deletionTimestamp ~= nil

actions["reconcile"] = { disabled = isSuspended or isDeleted }
actions["suspend"] = { disabled = isSuspended or isDeleted }
actions["resume"] = { disabled = not isSuspended or isDeleted }
return actions
