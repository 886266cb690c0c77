using AiAspire.ServiceDefaults;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Options;
using Npgsql;

namespace AiAspire.Unit.ServiceDefaults;

public sealed class PostgresConnectionTests
{
    [Theory]
    [InlineData(null, "missing")]
    [InlineData("not a connection string", "is not a PostgreSQL connection string")]
    [InlineData("Username=app", "names no Host")]
    [InlineData("Host=localhost;Multiplexing=true", "Multiplexing=true")]
    [InlineData("Host=localhost;No Reset On Close=true", "No Reset On Close=true")]
    [InlineData("Host=db.example.com", "TLS")]
    [InlineData("Host=db.example.com;SSL Mode=Prefer", "TLS")]
    [InlineData("Host=127.0.0.1,10.0.0.7", "TLS")]
    [InlineData("Host=10.0.0.7:5432", "TLS")]
    public async Task Refuses_to_start_and_says_why(string? connectionString, string reason)
    {
        var builder = Builder(connectionString);
        using var app = builder.Build();

        var refusal = await Assert.ThrowsAsync<OptionsValidationException>(
            () => app.StartAsync(TestContext.Current.CancellationToken));

        Assert.Contains("'main'", refusal.Message, StringComparison.Ordinal);
        Assert.Contains(reason, refusal.Message, StringComparison.Ordinal);
        // The same for those who open connections of their own.
        var own = Assert.Throws<OptionsValidationException>(() => builder.GetSafePostgres("main"));
        Assert.Equal(refusal.Message, own.Message);
    }

    [Theory]
    [InlineData("Host=localhost")]
    [InlineData("Host=localhost:5433")]
    [InlineData("Host=127.0.0.1,localhost")]
    [InlineData("Host=::1")]
    [InlineData("Host=[::1]:5432")]
    [InlineData("Host=/var/run/postgresql")]
    [InlineData("Host=db.example.com;SSL Mode=Require")]
    [InlineData("Host=db.example.com;SSL Mode=VerifyFull")]
    public async Task Starts_on_local_or_encrypted_connections(string connectionString)
    {
        using var app = Build(connectionString);

        await app.StartAsync(TestContext.Current.CancellationToken);

        Assert.Same(app.Services.GetRequiredService<NpgsqlDataSource>(), app.Services.GetRequiredKeyedService<NpgsqlDataSource>("main"));
        await app.StopAsync(TestContext.Current.CancellationToken);
    }

    [Fact]
    public async Task Plaintext_to_another_machine_is_possible_on_request()
    {
        using var app = Build("Host=db.example.com", ("Database:AllowPlaintext", "true"));

        await app.StartAsync(TestContext.Current.CancellationToken);
        await app.StopAsync(TestContext.Current.CancellationToken);
    }

    [Theory]
    [InlineData("Host=localhost", null)]
    [InlineData("Host=localhost;Application Name=reports", "reports")]
    public void Sessions_bear_the_name_of_the_process_unless_the_connection_string_names_another(string connectionString, string? name)
    {
        var builder = Builder(connectionString);
        using var app = builder.Build();

        Assert.NotEmpty(builder.Environment.ApplicationName);
        foreach (var used in new[] { app.Services.GetRequiredService<NpgsqlDataSource>().ConnectionString, builder.GetSafePostgres("main") })
            Assert.Equal(name ?? builder.Environment.ApplicationName, new NpgsqlConnectionStringBuilder(used).ApplicationName);
    }

    [Fact]
    public void A_refusal_does_not_quote_the_password()
    {
        using var app = Build("Host=localhost;Password=hunter2;Nonsense=hunter2");

        var refusal = Assert.Throws<OptionsValidationException>(() => app.Services.GetRequiredService<NpgsqlDataSource>());

        Assert.DoesNotContain("hunter2", refusal.ToString(), StringComparison.Ordinal);
    }

    private static IHost Build(string? connectionString, params (string Key, string Value)[] settings) => Builder(connectionString, settings).Build();

    private static HostApplicationBuilder Builder(string? connectionString, params (string Key, string Value)[] settings)
    {
        var builder = Host.CreateEmptyApplicationBuilder(new HostApplicationBuilderSettings());
        builder.Configuration["ConnectionStrings:main"] = connectionString;
        foreach (var (key, value) in settings)
            builder.Configuration[key] = value;
        builder.AddPostgres("main");
        return builder;
    }
}
