-- Of the errors that functions of ours raise Lua sees an opaque value; scripts shall see what it stands for.
local globals, caught = ...
local pcall, xpcall, type, select = globals.pcall, globals.xpcall, globals.type, globals.select
local resume = globals.coroutine.resume

local function settled(is_fine, ...)
  if is_fine then
    return true, ...
  end
  local problem = caught((...))
  if type(problem) == 'table' then
    local text = problem.err
    if type(text) == 'string' or type(text) == 'number' then
      problem = text
    end
  end
  return false, problem
end

local function resumed(is_fine, ...)
  if is_fine then
    return true, ...
  end
  return false, caught((...))
end

function globals.pcall(...)
  return settled(pcall(...))
end

function globals.xpcall(...)
  if select('#', ...) < 2 then
    return xpcall(...)
  end
  local run, handle = ...
  return resumed(xpcall(run, function(problem) return handle(caught(problem)) end))
end

function globals.coroutine.resume(...)
  return resumed(resume(...))
end

-- Runs a function with arguments under a handler of its errors.
return function(handle, run, ...)
  if select('#', ...) == 0 then
    return xpcall(run, handle)
  end
  local first, second = ...
  return xpcall(function() return run(first, second) end, handle)
end
