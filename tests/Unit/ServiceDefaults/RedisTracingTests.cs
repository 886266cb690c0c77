using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using AiAspire.ServiceDefaults;
using AiAspire.ServiceDefaults.Redis;
using Garnet;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Hosting;
using StackExchange.Redis;

namespace AiAspire.Unit.ServiceDefaults;

public sealed class RedisTracingTests
{
    [Fact]
    public async Task Commands_become_client_spans_below_the_activity_that_sent_them()
    {
        var port = FreePort();
        using var server = new GarnetServer(["--port", $"{port}", "--bind", "127.0.0.1", "--page", "1m", "--memory", "32m", "--index", "1m", "-q"]);
        server.Start();
        using var app = Build($"127.0.0.1:{port}");
        var recorded = new List<Activity>();
        using var listener = Listen(recorded);
        using var parents = new ActivitySource("AiAspire.RedisTracingTests");
        var redis = app.Services.GetRequiredService<IConnectionMultiplexer>();

        ActivityTraceId trace;
        using (var parent = parents.StartActivity("request"))
        {
            trace = parent!.TraceId;
            await redis.GetDatabase().StringSetAsync("key", "value");
        }

        await redis.GetDatabase().StringGetAsync("outside any activity");
        app.Services.GetRequiredService<RedisTracing>().Drain();

        var span = Assert.Single(recorded, a => a.Source.Name == RedisTracing.SourceName && a.TraceId == trace);
        Assert.Equal(ActivityKind.Client, span.Kind);
        Assert.Equal("redis", span.GetTagItem("db.system.name"));
        Assert.Equal("SET", span.GetTagItem("db.operation.name"));
        Assert.Equal("127.0.0.1", span.GetTagItem("server.address"));
        Assert.Equal(port, span.GetTagItem("server.port"));
        Assert.True(span.Duration > TimeSpan.Zero);
        Assert.DoesNotContain(span.TagObjects, tag => tag.Value?.ToString()?.Contains("value", StringComparison.Ordinal) == true);

        var health = await app.Services.GetRequiredService<HealthCheckService>().CheckHealthAsync(TestContext.Current.CancellationToken);
        Assert.Equal(HealthStatus.Healthy, health.Status);
    }

    [Fact]
    public async Task A_server_that_is_away_makes_the_process_unready_and_not_dead()
    {
        using var app = Build($"127.0.0.1:{FreePort()},connectTimeout=200,connectRetry=0");

        var health = await app.Services.GetRequiredService<HealthCheckService>().CheckHealthAsync(TestContext.Current.CancellationToken);

        Assert.Equal(HealthStatus.Unhealthy, health.Entries["redis-redis"].Status);
    }

    private static IHost Build(string connectionString)
    {
        var builder = Host.CreateEmptyApplicationBuilder(new HostApplicationBuilderSettings { ApplicationName = "test" });
        builder.Configuration["ConnectionStrings:redis"] = connectionString;
        builder.Services.AddSingleton(TimeProvider.System);
        builder.AddRedis("redis");
        return builder.Build();
    }

    private static ActivityListener Listen(List<Activity> recorded)
    {
        var listener = new ActivityListener
        {
            ShouldListenTo = source => source.Name is RedisTracing.SourceName or "AiAspire.RedisTracingTests",
            Sample = (ref ActivityCreationOptions<ActivityContext> _) => ActivitySamplingResult.AllData,
            ActivityStopped = activity =>
            {
                lock (recorded)
                    recorded.Add(activity);
            },
        };
        ActivitySource.AddActivityListener(listener);
        return listener;
    }

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }
}
