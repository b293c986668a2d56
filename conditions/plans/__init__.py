"""What a change of a tag would do: functions from rows that were read before to a plan to show or to apply."""
