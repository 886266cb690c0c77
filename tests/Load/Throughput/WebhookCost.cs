using System.Globalization;
using Npgsql;

namespace AiAspire.Load.Throughput;

/// <summary>What it costs at a job's end that webhooks are told of it: without the trigger, with it and no webhook, and with a webhook of the tenant's.</summary>
internal static class WebhookCost
{
    private const string WebhookId = "0196f000-0000-7000-8000-00000000000d";

    public static async Task<string> MeasureAsync(OurQueue ours, string superuser, int jobs, int rounds, Action<string> say, CancellationToken cancellationToken)
    {
        await using var database = NpgsqlDataSource.Create(superuser);
        var (off, none, one) = (new List<double>(), new List<double>(), new List<double>());
        for (var round = 0; round < rounds; round++)
        {
            await ExecuteAsync("ALTER TABLE aiaspire.job_history DISABLE TRIGGER tell_finished");
            off.Add(await RateAsync());
            await ExecuteAsync("ALTER TABLE aiaspire.job_history ENABLE TRIGGER tell_finished");
            none.Add(await RateAsync());
            await ExecuteAsync(
                $"INSERT INTO aiaspire.notification_webhooks (tenant_id, webhook_id, url, topics, secret, created_at) SELECT tenant_id, '{WebhookId}', 'https://example.invalid/', ARRAY['job.completed'], '', now() FROM aiaspire.tenants");
            one.Add(await RateAsync());
            await ExecuteAsync("TRUNCATE aiaspire.notification_webhooks, aiaspire.notification_deliveries, aiaspire.notifications");
            say($"Webhooks, round {round + 1}: {off[^1]:0} jobs/s without the trigger, {none[^1]:0} with it, {one[^1]:0} with a webhook.");
        }

        return string.Create(
            CultureInfo.InvariantCulture,
            $"""
            | Through the workers, jobs/s, median of {rounds} rounds | |
            |---|--:|
            | without the trigger that tells webhooks | {Median(off):0} |
            | with it, no webhook asks for the ends of jobs | {Median(none):0} |
            | with it, one webhook of the tenant's asks for them | {Median(one):0} |

            """);

        async Task<double> RateAsync()
        {
            await ours.EnqueueBulkAsync(jobs, cancellationToken);
            return jobs / await ours.DrainAsync(jobs, cancellationToken);
        }

        async Task ExecuteAsync(string sql)
        {
            await using var command = database.CreateCommand(sql);
            await command.ExecuteNonQueryAsync(cancellationToken);
        }
    }

    private static double Median(List<double> values) => values.Order().ElementAt(values.Count / 2);
}
