using System.Net;
using System.Net.Http.Json;
using AiAspire.Core.Data;
using AiAspire.Core.Rollouts;
using AiAspire.Integration.Application;
using Npgsql;

namespace AiAspire.Integration.Admin;

[Collection(ApplicationCollection.Name)]
public sealed class KillSwitchTests(RunningApplication application)
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    /// <summary>The poll beneath would bring it too, but not within the second that is promised, and only sometimes too late for a test with a clock.</summary>
    [Fact]
    [Trait("Checklist", "ARCH-02")]
    public async Task A_switch_is_pushed_to_every_replica_when_it_is_thrown_and_when_it_is_released()
    {
        using var developer = application.Developer();
        await using var replica = await application.OpenSuperuserAsync();
        var told = 0;
        replica.Notification += (_, change) => told += change.Payload == KillSwitches.Topic ? 1 : 0;
        await using (var listen = new NpgsqlCommand($"LISTEN {ChangeFeed.Channel}", replica))
            await listen.ExecuteNonQueryAsync(Cancelled);

        for (var change = 1; change <= 2; change++)
        {
            using var set = await developer.PutAsJsonAsync("/v1/admin/kill-switches/feature/pushed", new { engaged = change == 1, reason = "a drill" }, Cancelled);
            Assert.Equal(HttpStatusCode.OK, set.StatusCode);
            using var limit = CancellationTokenSource.CreateLinkedTokenSource(Cancelled);
            limit.CancelAfter(Patience);
            try
            {
                while (told < change)
                    await replica.WaitAsync(limit.Token);
            }
            catch (OperationCanceledException)
            {
                Assert.Fail($"Change {change} of the switch was committed and no replica was told of it within {Patience.TotalSeconds} s.");
            }
        }
    }
}
