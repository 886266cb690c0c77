using Aspire.Hosting.Embedded;

namespace AiAspire.Unit.AppHosting;

public sealed class LaunchOptionsTests
{
    [Fact]
    public void Options_and_settings_are_read_with_either_separator()
    {
        var options = LaunchOptions.Parse(
            ["--data", "/d", "--port=api=8080", "--reset", "--no-local-postgres", "--Providers:extra:BaseAddress=http://x/v1?a=b", "--Postgres:Fsync", "off"]);

        Assert.Equal("/d", options.Data);
        Assert.True(options.Reset);
        Assert.Equal("8080", options.Settings["Ports:api"]);
        Assert.Equal("false", options.Settings["Postgres:Local"]);
        Assert.Equal("http://x/v1?a=b", options.Settings["Providers:extra:BaseAddress"]);
        Assert.Equal("off", options.Settings["Postgres:Fsync"]);
    }

    [Theory]
    [InlineData("--what")]
    [InlineData("start")]
    [InlineData("--Unknown:Setting=1")]
    [InlineData("--data")]
    [InlineData("--port=api")]
    [InlineData("--port=api=0")]
    [InlineData("--port=api=65536")]
    [InlineData("--port==80")]
    public void What_is_not_understood_is_refused(string argument) =>
        Assert.Throws<LaunchOptionsException>(() => LaunchOptions.Parse([argument]));
}
