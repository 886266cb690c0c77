using AiAspire.Core.Data;
using AiAspire.Core.Notifications;

namespace AiAspire.Unit.CoreTests.Notifications;

public sealed class OnCallRotaTests
{
    private const int Hour = 60;
    private const int Day = 24 * Hour;

    // Monday.
    private static readonly DateTimeOffset Week = new(2026, 3, 9, 0, 0, 0, TimeSpan.Zero);

    [Theory]
    [InlineData(0, 8, "ann")]
    [InlineData(4, 17, "ann")]
    [InlineData(4, 18, "ben")]
    [InlineData(6, 23, "ben")]
    [InlineData(0, 7, "ben")]
    public void The_first_whose_shift_it_is(int day, int hour, string expected)
    {
        OnCallContact[] rota =
        [
            Contact(1, "ben", (4 * Day) + (18 * Hour), 8 * Hour), // over the weekend into Monday
            Contact(0, "ann", 8 * Hour, (4 * Day) + (18 * Hour)),
        ];
        Assert.Equal(expected, OnCallRota.At(rota, Week.AddDays(day).AddHours(hour))?.Name);
        Assert.Equal(expected, OnCallRota.At(rota, Week.AddDays(day).AddHours(hour).ToOffset(TimeSpan.FromHours(9)))?.Name);
    }

    [Fact]
    public void A_gap_falls_to_the_first_and_whoever_has_no_shifts_is_always_on()
    {
        var ann = Contact(0, "ann", 0, Hour);
        Assert.Equal("ann", OnCallRota.At([ann], Week.AddDays(2))?.Name);
        Assert.Equal("zoe", OnCallRota.At([ann, Contact(1, "zoe")], Week.AddDays(2))?.Name);
        Assert.Null(OnCallRota.At([], Week));
    }

    private static OnCallContact Contact(int position, string name, params int[] shift) => new()
    {
        TenantId = TenantScope.PlatformTenantId,
        Position = position,
        Name = name,
        Email = $"{name}@example.com",
        ShiftStarts = shift.Length == 0 ? [] : [shift[0]],
        ShiftEnds = shift.Length == 0 ? [] : [shift[1]],
    };
}
