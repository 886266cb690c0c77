namespace AiAspire.Core.Notifications;

/// <summary>Who is on call.</summary>
public static class OnCallRota
{
    public const int MinutesOfWeek = 7 * 24 * 60;

    /// <summary>
    /// The first contact in order one of whose shifts it is; a contact without shifts is always on call. When it is nobody's shift, the
    /// first contact all the same: a gap in the rota must not mean that nobody is told. Null only for an empty rota.
    /// </summary>
    public static OnCallContact? At(IEnumerable<OnCallContact> contacts, DateTimeOffset time)
    {
        var minute = MinuteOfWeek(time);
        OnCallContact? first = null;
        foreach (var contact in contacts.OrderBy(c => c.Position))
        {
            first ??= contact;
            if (contact.ShiftStarts.Length == 0 || contact.ShiftStarts.Zip(contact.ShiftEnds).Any(shift => Covers(shift.First, shift.Second, minute)))
                return contact;
        }

        return first;
    }

    /// <summary>Minutes since Monday 00:00 UTC.</summary>
    public static int MinuteOfWeek(DateTimeOffset time)
    {
        var utc = time.UtcDateTime;
        var day = ((int)utc.DayOfWeek + 6) % 7;
        return (day * 24 * 60) + (int)utc.TimeOfDay.TotalMinutes;
    }

    private static bool Covers(int start, int end, int minute)
        => start < end ? minute >= start && minute < end : minute >= start || minute < end;
}
