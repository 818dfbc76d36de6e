"""Who broke it: from a cell that was good and is bad to the day, the packages and a cure."""
