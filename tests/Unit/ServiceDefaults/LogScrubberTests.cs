using AiAspire.ServiceDefaults.Logging;

namespace AiAspire.Unit.ServiceDefaults;

public sealed class LogScrubberTests
{
    private readonly LogScrubber _scrubber = new();

    [Theory]
    [InlineData("mail jane.doe+shop@example.co.uk now", "mail [email] now")]
    [InlineData("GET /users/jane%40example.com/orders", "GET /users/[email]/orders")]
    [InlineData("Schreib an jörg@müller.de!", "Schreib an [email]!")]
    [InlineData("key=sk-proj-AbCdEf0123456789", "key=sk-***")]
    [InlineData("Authorization: Bearer abc.def-123456", "Authorization: Bearer ***")]
    [InlineData("authorization: bearer   abcdefgh", "authorization: Bearer ***")]
    [InlineData("token eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln ends", "token [token] ends")]
    [InlineData("paid with 4111 1111 1111 1111.", "paid with [card].")]
    [InlineData("paid with 4111-1111-1111-1111", "paid with [card]")]
    [InlineData("Host=db;Password=hunter2;Database=x", "Host=db;Password=***;Database=x")]
    [InlineData("amex 378282246310005", "amex [card]")]
    public void Masks_what_must_not_be_logged(string text, string expected) => Assert.Equal(expected, _scrubber.Scrub(text));

    [Theory]
    [InlineData("")]
    [InlineData("took 12 ms for 3 rows")]
    [InlineData("order 4111111111111112 fails the Luhn check")]
    [InlineData("at 1764000000000 ms since the epoch")]
    [InlineData("id 018f4c7e-7d1a-7b5e-9d3f-0123456789ab, span 4bf92f3577b34da6")]
    [InlineData("ask-me-anything about @decorators, risk-assessment included")]
    public void Leaves_clean_text_alone(string text) => Assert.Equal(text, _scrubber.Scrub(text));

    [Fact]
    public void Stays_linear_on_a_long_run_that_could_begin_an_address()
    {
        var hostile = "@" + new string('a', 100_000) + " sk-" + new string('.', 1000) + new string('4', 50_000);

        // A quadratic pattern would meet the scrubber's own time-out and withhold the text.
        Assert.Equal(hostile, _scrubber.Scrub(hostile));
    }
}
