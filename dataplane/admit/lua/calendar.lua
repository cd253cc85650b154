-- Calendar windows, UTC, in Unix seconds; it stands before admit.lua. Civil dates are proleptic Gregorian; years of the
-- arithmetic begin in March, so that the leap day is the last of its year.
local DAY = 86400
local ERA = 146097 -- days in 400 years

-- The days from 1970-01-01 to the first of the month-th month, March being 0, of the year-th such year.
local function first_of_month(year, month)
  year, month = year + math.floor(month / 12), month % 12
  local era = math.floor(year / 400)
  local in_era = year - era * 400
  local days = in_era * 365 + math.floor(in_era / 4) - math.floor(in_era / 100)
  return era * ERA + days + math.floor((153 * month + 2) / 5) - 719468
end

-- The year and month, both as above, of a day.
local function year_and_month(day)
  day = day + 719468
  local era = math.floor(day / ERA)
  local in_era = day - era * ERA
  local year = math.floor((in_era - math.floor(in_era / 1460) + math.floor(in_era / 36524) - math.floor(in_era / 146096)) / 365)
  local in_year = in_era - (365 * year + math.floor(year / 4) - math.floor(year / 100))
  return era * 400 + year, math.floor((5 * in_year + 2) / 153)
end

-- The start of the window of a second, and the start of the next one.
local function window_of(period, second)
  local day = math.floor(second / DAY)
  if period == 'Day' then return day * DAY, (day + 1) * DAY end
  local year, month = year_and_month(day)
  return first_of_month(year, month) * DAY, first_of_month(year, month + 1) * DAY
end
