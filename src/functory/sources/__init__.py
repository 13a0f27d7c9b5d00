"""Where events come from. So far: the clock (`cron`, `timers`)."""
