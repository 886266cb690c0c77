using Aspire.Hosting.Embedded;

namespace AiAspire.Unit.AppHosting;

public sealed class LogLineTests
{
    [Theory]
    [InlineData("""{"LogLevel":"Information","Category":"AiAspire.Core.Chat.Pipeline","Message":"done"}""", "info Pipeline done")]
    [InlineData("""{"level":"warn","message":"slow"}""", "warn slow")]
    [InlineData("""{"LogLevel":"Error","Category":"X","Message":"failed","Exception":"System.Exception: no"}""", "fail X failed\n    System.Exception: no")]
    [InlineData("""{"no":"message"}""", """{"no":"message"}""")]
    [InlineData("""{"Message":"cut off""", """{"Message":"cut off""")]
    [InlineData("plain text", "plain text")]
    [InlineData("", "")]
    public void A_structured_line_becomes_short_and_any_other_stays(string line, string expected) =>
        Assert.Equal(expected, LogLine.Render(line));

    [Theory]
    [InlineData("2026-01-01 00:00:00.000 UTC [1] LOG:  database system is ready to accept connections", true)]
    [InlineData("2026-01-01 00:00:00.000 UTC [1] FATAL:  the database system is starting up", true)]
    [InlineData("2026-01-01 00:00:00.000 UTC [1] ERROR:  relation does not exist", false)]
    [InlineData("2026-01-01 00:00:00.000 UTC [1] FATAL:  could not open file", false)]
    public void PostgreSQL_shows_what_went_wrong_and_keeps_its_chatter(string line, bool chatter) =>
        Assert.Equal(chatter, LogLine.IsPostgresChatter(line));
}
