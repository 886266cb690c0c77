using AiAspire.Core.Encryption;
using AiAspire.Workers.Jobs;
using Microsoft.Extensions.Time.Testing;
using Npgsql;

namespace AiAspire.Unit.Jobs;

public sealed class OutagesTests
{
    private readonly FakeTimeProvider _time = new();

    [Fact]
    [Trait("Checklist", "LOAD-08")]
    public void What_all_jobs_need_is_told_from_what_one_of_them_got_wrong()
    {
        var cannotConnect = new PostgresException("the database system is starting up", "FATAL", "FATAL", PostgresErrorCodes.CannotConnectNow);
        Assert.Equal("database_unavailable", Outages.CodeOf(cannotConnect));
        Assert.Equal("database_unavailable", Outages.CodeOf(new NpgsqlException("broken", new IOException())));
        Assert.Equal("database_unavailable", Outages.CodeOf(new InvalidOperationException("given up", cannotConnect)));
        Assert.Equal("database_unavailable", Outages.CodeOf(new PostgresException("terminating connection", "FATAL", "FATAL", PostgresErrorCodes.AdminShutdown)));
        Assert.Equal("keys_unavailable", Outages.CodeOf(new MasterKeyUnavailableException("Vault is sealed")));
        Assert.Equal("timed_out", Outages.CodeOf(new TimeoutException()));
        Assert.Null(Outages.CodeOf(new PostgresException("syntax error", "ERROR", "ERROR", PostgresErrorCodes.SyntaxError)));
        Assert.Null(Outages.CodeOf(new InvalidOperationException()));
    }

    [Fact]
    public void No_job_is_taken_for_a_moment_after_one()
    {
        var outages = new Outages(_time);
        Assert.Equal(TimeSpan.Zero, outages.Left);
        outages.Seen();
        _time.Advance(TimeSpan.FromSeconds(0.4));
        Assert.Equal(TimeSpan.FromSeconds(0.6), outages.Left);
        _time.Advance(TimeSpan.FromSeconds(1));
        Assert.Equal(TimeSpan.Zero, outages.Left);
    }
}
