using Aspire.Hosting;
using Aspire.Hosting.ApplicationModel;
using Aspire.Hosting.Embedded;

namespace AiAspire.Unit.AppHosting;

public sealed class ReferenceExpressionTests
{
    [Fact]
    public async Task Holes_are_filled_when_asked_not_when_written()
    {
        var password = new ParameterResource("pw", () => "s3cret", secret: true);
        var server = new PostgresServerResource("postgres", password);
        var database = new PostgresDatabaseResource("aiaspire", "aiaspire", server);
        var expression = ReferenceExpression.Create($"{server.PrimaryEndpoint.Property(EndpointProperty.HostAndPort)}/{password}");

        server.Endpoints[0].Allocated = [5433];

        Assert.Equal("127.0.0.1:5433/s3cret", await expression.GetValueAsync());
        Assert.Equal(
            "Host=127.0.0.1;Port=5433;Username=postgres;Password=s3cret;Database=aiaspire",
            await database.ConnectionStringExpression.GetValueAsync());
    }

    [Fact]
    public async Task Redis_connection_string_is_what_its_client_reads()
    {
        var redis = new RedisResource("redis", new ParameterResource("pw", () => "p"));
        redis.Endpoints[0].Allocated = [6380];

        Assert.Equal("127.0.0.1:6380,password=p", await ((IResourceWithConnectionString)redis).GetConnectionStringAsync());
    }

    [Fact]
    public void A_port_is_not_known_before_the_start() =>
        Assert.Throws<InvalidOperationException>(() => new RedisResource("redis", new ParameterResource("pw", () => "p")).PrimaryEndpoint.Port);

    [Fact]
    public async Task A_parameter_without_a_value_says_how_to_give_one()
    {
        var e = await Assert.ThrowsAsync<DistributedApplicationException>(async () => await new ParameterResource("token", () => null).GetValueAsync());
        Assert.Contains("Parameters:token", e.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("")]
    [InlineData("9lives")]
    [InlineData("a_b")]
    [InlineData("a b")]
    public void Names_take_letters_digits_and_hyphens(string name) =>
        Assert.Throws<ArgumentException>(() => new ProjectResource(name, "x.csproj"));
}
